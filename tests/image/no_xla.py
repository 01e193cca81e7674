"""Networks that XLA cannot compile, or should not."""

import tensorflow as tf


class Strings(tf.keras.Model):
    """Has an operation that XLA does not have."""

    def __init__(self, observation_space, num_outputs):
        super().__init__()
        self.body = tf.keras.layers.Dense(16, activation="tanh")
        self.outputs_of, self.values_of = tf.keras.layers.Dense(num_outputs), tf.keras.layers.Dense(1)

    def call(self, observations):
        features = self.changed(self.body(observations))
        return self.outputs_of(features), self.values_of(features)

    def changed(self, features):
        there_and_back = tf.strings.to_number(tf.strings.as_string(tf.reduce_mean(features)))
        return features + tf.stop_gradient(there_and_back)


class Draws(Strings):
    """Draws random numbers."""

    def changed(self, features):
        return tf.nn.dropout(features, 0.1)
