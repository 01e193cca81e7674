"""Runs inside the image: what is said of each network of tests/data/networks.py, by name; as one JSON object.

Usage: wrong_networks.py FILE FRAMEWORK
"""

import json
import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"

# ruff: noqa: E402
from rlsif.learning.rllib import import_rllib

import_rllib()
import numpy as np
import tensorflow as tf
from gymnasium.spaces import Box, Discrete
from ray.rllib.models.catalog import MODEL_DEFAULTS

from rlsif.errors import InputError
from rlsif.learning.own_model import OwnNetwork

file, framework = sys.argv[1:]
if framework == "tf":
    tf.compat.v1.disable_eager_execution()
else:
    tf.compat.v1.enable_eager_execution()
NAMES = ("Plain", "Few", "Many", "Doubled", "Alone", "NoModule", "Fails", "FailsAtCall", "FailsLater", "Fixed", "None")
space = Box(-1, 1, (3,), np.float32)


def said(name, **arguments):
    with tf.Graph().as_default() if framework == "tf" else tf.init_scope():
        own = {"network": f"{file}:{name}", "code_folder": ".", "arguments": arguments}
        try:
            OwnNetwork(space, Discrete(2), 2, MODEL_DEFAULTS, "a", **own)
        except InputError as problem:
            return str(problem)
    return None


print(json.dumps({**{name: said(name) for name in NAMES}, "Plain wide=3": said("Plain", wide=3)}))
