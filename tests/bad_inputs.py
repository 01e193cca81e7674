"""What a user may type that cannot be right, and the sentence that says so.

A line that begins at the margin is typed in a folder that has FILES and runs, as the test makes them; the line below is what the
command says after `error: `. Three dots are what a machine or a folder decides. A test types them all, and the page of
faults lists them.
"""

# ruff: noqa: E501

import re
from pathlib import Path

ENVS = """
import gymnasium
from gymnasium.spaces import Box, Discrete, Text


class Base(gymnasium.Env):
    observation_space, action_space, max_episode_steps = Box(-1, 1, (2,)), Discrete(2), 20

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 1.0, False, False, {}


class Broken(Base):
    def __init__(self):
        raise RuntimeError("the licence server is away")


class NoSpaces(gymnasium.Env):
    def reset(self, *, seed=None, options=None):
        return 0, {}


class NoEnv:
    pass


class OldReset(Base):
    def reset(self):
        return self.observation_space.sample()


class Speaks(Base):
    action_space = Text(5)


class Reads(Base):
    observation_space = Text(5)


class Blind(Base):
    observation_space = Box(-1, 1, (0,))


class Huge(Base):
    observation_space = Discrete(200_000)


class Twice(Base):
    pass


gymnasium.register("Twice-v0", Twice)
gymnasium.register("Twice-v1", Twice)


class Sees(Base):
    observation_space = Box(0, 255, (20, 20, 3), "uint8")


class Shades(Base):
    observation_space = Box(0, 1, (20, 20, 3))
"""
# Two steps of CartPole-v1, as recorded episodes have them.
PLAYED = (
    b'{"type": "SampleBatch", "obs": [[0, 0, 0, 0], [0, 0, 0, 0]], "actions": [0, 1], "rewards": [1, 1],'
    b' "terminateds": [false, true]}\n'
)
# A step of Pendulum-v1.
SWINGS = (
    b'{"type": "SampleBatch", "obs": [[1, 0, 0]], "new_obs": [[1, 0, 0]], "actions": [[0]], "rewards": [0],'
    b' "terminateds": [false]}\n'
)
# Episodes of CartPole-v1.
MINARI = (Path(__file__).parent / "data/minari/cart-v0/data/main_data.hdf5").read_bytes()
FILES = {
    "envs.py": ENVS.encode(),
    "syntax.py": b"class Env(:",
    "bad.yaml": b"lr: 1\n  gamma: [1\n",
    "list.yaml": b"[1, 2]",
    "blank.yaml": b"# lr: 1\n",
    "bytes.yaml": b"\xff\xfe\x00",
    "hunt.py": (Path(__file__).parent / "data/hunt.py").read_bytes(),
    "heap.py": (Path(__file__).parent / "data/heap.py").read_bytes(),
    "half.yaml": b"hunter_*: hunter\n",
    "wolf.yaml": b"wolf: wolf\n'*': prey\n",
    "long.yaml": b"'*': a policy\n",
    "twice.yaml": b"prey: a\n'*': b\nprey: b\n",
    "number.yaml": b"'*': 1\n",
    "crowd.py": (Path(__file__).parent / "data/crowd.py").read_bytes(),
    "one.yaml": b"'*': player\n",
    "played.json": PLAYED,
    "swings.json": SWINGS,
    "arrow/metadata.json": b'{"data_format": "arrow"}',
    "gone/data/metadata.json": b'{"data_format": "hdf5"}',
    "cart/main_data.hdf5": MINARI,
    "torn/main_data.hdf5": MINARI[:2000],
    "cut.json": PLAYED[:90],
    "nan.json": PLAYED.replace(b"[1, 1]", b"[1, NaN]"),
    "nowhere.json": PLAYED.replace(b"[0, 1]", b"[0, 7]"),
    "uneven.json": PLAYED.replace(b"[1, 1]", b"[1]"),
    "empty.json": b"\n",
    "hears.py": (
        b"from ray.rllib.callbacks.callbacks import RLlibCallback\n\n\n"
        b"class Hears(RLlibCallback):\n    def on_learn_on_batch(self, **given):\n        pass\n"
    ),
    "networks.py": (Path(__file__).parent / "data/networks.py").read_bytes(),
}

TYPED = r"""
train
    no environment is given; name one, as in `train --env CartPole-v1`
train --env Cartpole-v1
    environment 'Cartpole-v1' is not known to Gymnasium; did you mean CartPole-v1 or ...?
train --env none.py:Env
    environment '...none.py:Env': there is no file ...none.py; an image sees bound folders alone
train --env nomodule:Env
    environment 'nomodule:Env': module 'nomodule' cannot be imported: No module named 'nomodule'
train --env syntax.py:Env
    environment '...syntax.py:Env': ...syntax.py cannot be imported: SyntaxError: invalid syntax (syntax.py, line 1)
train --env envs.py:Envs
    environment '...envs.py:Envs': ...envs.py has no class Envs, and registers no such id; it has Base, Broken, ...
train --env envs.py:NoEnv
    environment '...envs.py:NoEnv': NoEnv in ...envs.py is not a class derived from gymnasium.Env
train --env envs.py:NoSpaces
    environment '...envs.py:NoSpaces' has no observation_space; set it in __init__, as gymnasium.spaces has them
train --env envs.py:Broken
    environment '...envs.py:Broken' cannot be made: RuntimeError: the licence server is away (...envs.py, line 19)
train --env envs.py:Twice
    environment '...envs.py:Twice': the class is registered as Twice-v0 and Twice-v1, which may differ in their arguments; name one, as ...envs.py:Twice-v0
train --env envs.py:OldReset
    environment '...envs.py:OldReset': its reset takes no seed; Gymnasium's is reset(self, *, seed=None, options=None)
train --env envs.py:Speaks
    no algorithm here can train in ...envs.py:Speaks: its actions are Text; Discrete, MultiDiscrete, MultiBinary, Box, and Tuple or Dict of them work
train --env envs.py:Reads
    no algorithm here can train in ...envs.py:Reads: its observations are Text, which has no fixed shape
train --env envs.py:Blind
    no algorithm here can train in ...envs.py:Blind: its observations are Box[0] of float32, with nothing in them
train --env envs.py:Huge
    no algorithm here can train in ...envs.py:Huge: its observations are Discrete(200000), a one-hot vector of 200,000; 20,000 is the most: give them as a Box of numbers
train --env CartPole-v1 --env-config gravity
    --env-config 'gravity' has no value; write it as --env-config gravity=9.8
train --env CartPole-v1 --env-config gravitation=9.8
    environment 'CartPole-v1' cannot be made with {'gravitation': 9.8}: CartPoleEnv.__init__() got an unexpected keyword argument 'gravitation'
train --env CartPole-v1 --env-config id=007
    --env-config id is an argument of gymnasium.make and not of the environment
train --env CartPole-v1 --set use_worker_filter_stats=false
    'use_worker_filter_stats' has no effect here: what filters of env runners see is always merged
train --env CartPole-v1 --env-config gravity=.nan
    --env-config gravity is nan, and arguments are finite numbers, texts, true, false, null, lists and mappings; the environment can make others of a text
train --env CartPole-v1 --env-config 'gravity=[1'
    --env-config 'gravity=[1' has a value that is neither a number, a word nor a list
train --env CartPole-v1 --algo PPPO
    algorithm 'PPPO' is not one of PPO, ...; did you mean PPO or APPO?
train --env Pendulum-v1 --algo DQN
    DQN cannot act in Pendulum-v1: its actions are Box, not Discrete; use --algo PPO or ...
train --env CartPole-v1 --framework torch
    --framework is 'torch'; it must be tf (graph, faster) or tf2 (eager)
train --env CartPole-v1 --framework tf2 --algo IMPALA
    IMPALA does not work with --framework tf2 (with tf2, RLlib's learner waits indefinitely); use --framework tf
train --env CartPole-v1 --set lr
    --set 'lr' has no value; write it as --set lr=0.0003
train --env CartPole-v1 --set lr=1e-3 gamma=0.9
    'gamma=0.9' has no option before it: each KEY=VALUE needs its own --set or --env-config; see `train --help`
train --env CartPole-v1 --env-config gravity=9 masscart=2 length=1
    'masscart=2 length=1' has no option before it: each KEY=VALUE needs its own --set or --env-config; see `train --help`
train --env CartPole-v1 --set lrr=1
    PPO has no hyperparameter 'lrr'; did you mean lr?
train --env CartPole-v1 --set lr=abc
    PPO's 'lr' is 'abc'; it must be like its default, 5e-05
train --env CartPole-v1 --set lr=-0.001
    PPO's 'lr' is -0.001; it must be at least 0
train --env CartPole-v1 --set gamma=2
    PPO's 'gamma' is 2; it must be from 0 to 1
train --env CartPole-v1 --set gamma=true
    PPO's 'gamma' is True; it must be like its default, 0.99
train --env CartPole-v1 --set num_epochs=1.5
    PPO's 'num_epochs' is 1.5; it must be a whole number
train --env CartPole-v1 --set 'lr_schedule=[[0, 1e-3], [1e6, much]]'
    PPO's 'lr_schedule' is [[0, 0.001], [1000000.0, 'much']]; it must be pairs of env steps, which begin at 0 and rise, and values, as [[0, 0.001], [1000000, 0.00001]]
train --env CartPole-v1 --set 'model.fcnet_hiddens=[64, x]'
    PPO's 'model.fcnet_hiddens' is [64, 'x']; it must be a list of whole numbers of at least 1, as [64, 64]
train --env CartPole-v1 --set num_epochs=0
    PPO's 'num_epochs' is 0; it must be at least 1
train --env CartPole-v1 --set model=3
    PPO's 'model' is 3; it is a group of settings: write model.KEY=VALUE
train --env CartPole-v1 --set model.fcnet_hidden=[8]
    PPO has no hyperparameter 'model.fcnet_hidden'; did you mean fcnet_hiddens or post_fcnet_hiddens?
train --env CartPole-v1 --set model.fcnet_activation=tanhh
    PPO's 'model.fcnet_activation' is 'tanhh'; it must be one of linear, tanh, relu, ...
train --env CartPole-v1 --set model.fcnet_activation=5
    PPO's 'model.fcnet_activation' is 5; it must be one of linear, tanh, relu, ...
train --env CartPole-v1 --set model.fcnet_activation=[relu]
    PPO's 'model.fcnet_activation' is ['relu']; it must be one of linear, tanh, relu, ...
train --env CartPole-v1 --set clip_rewards=abc
    PPO's 'clip_rewards' is 'abc'; it must be true, false, or the number to clip at
train --env CartPole-v1 --set grad_clip=abc
    PPO's 'grad_clip' is 'abc'; it must be a number
train --env CartPole-v1 --set entropy_coeff=.nan
    PPO's 'entropy_coeff' is nan; it must be a number
train --env CartPole-v1 --set gamma=null
    PPO's 'gamma' is None; it must be like its default, 0.99
train --env CartPole-v1 --set batch_mode=whole
    PPO's 'batch_mode' is 'whole'; it must be truncate_episodes or complete_episodes
train --env CartPole-v1 --set observation_filter=5
    PPO's 'observation_filter' is 5; it must be NoFilter, MeanStdFilter or ConcurrentMeanStdFilter
train --env CartPole-v1 --set rollout_fragment_length=0
    PPO's 'rollout_fragment_length' is 0; it must be a whole number of at least 1, or auto
train --env CartPole-v1 --set min_time_s_per_iteration=abc
    PPO's 'min_time_s_per_iteration' is 'abc'; it must be a number
train --env CartPole-v1 --set env_runner_cls=mine.py:Runner
    'env_runner_cls' has no effect here: the other settings of a run decide which env runner samples
train --env CartPole-v1 --set observation_fn=mine.py:seen
    'observation_fn' has no effect here: RLlib wants an object of Python there, and settings are numbers, texts and lists
train --env CartPole-v1 --set model.custom_action_dist=mine
    'model.custom_action_dist' has no effect here: RLlib wants an object of Python there, and settings are numbers, texts and lists
train --env CartPole-v1 --set model.fcnet_weights_initializer=zeros
    'model.fcnet_weights_initializer' has no effect here: it is of RLlib's new API stack, which has no TensorFlow; model.KEY sets the network, --wrap what it sees
train --env Pendulum-v1 --algo SAC --set initial_alpha=0
    SAC's 'initial_alpha' is 0; it must be a number above 0
train --env Pendulum-v1 --algo SAC --set tau=7
    SAC's 'tau' is 7; it must be from 0 to 1
train --env CartPole-v1 --set use_critic=false
    PPO's 'use_critic' is false and its 'use_gae' true; GAE needs the critic: leave use_critic at true, or give use_gae=false and batch_mode=complete_episodes, too
train --env CartPole-v1 --set exploration_config.type=Greedy
    PPO's 'exploration_config.type' is 'Greedy'; it must be one of EpsilonGreedy, ...; did you mean EpsilonGreedy?
train --env CartPole-v1 --set exploration_config.type=GaussianNoise
    PPO's 'exploration_config.type' is 'GaussianNoise', which is for actions that are numbers, as Box, and those of CartPole-v1 are Discrete; leave it at its default
train --env Pendulum-v1 --set exploration_config.type=SoftQ
    PPO's 'exploration_config.type' is 'SoftQ', which is for actions that are choices, as Discrete, and those of Pendulum-v1 are Box; leave it at its default
train --env CartPole-v1 --set exploration_config.epsilon=0.1
    PPO has no hyperparameter 'exploration_config.epsilon'...
train --env CartPole-v1 --algo DQN --set exploration_config.epsilon_timesteps=abc
    DQN's 'exploration_config.epsilon_timesteps' is 'abc'; it must be like its default, 100000
train --env CartPole-v1 --algo DQN --set exploration_config.epsilon_timesteps=-5
    DQN's 'exploration_config.epsilon_timesteps' is -5; it must be at least 0
train --env CartPole-v1 --algo DQN --set exploration_config.initial_epsilon=.nan
    DQN's 'exploration_config.initial_epsilon' is nan; it must be from 0 to 1
train --env CartPole-v1 --algo DQN --set exploration_config.final_epsilon=7
    DQN's 'exploration_config.final_epsilon' is 7; it must be from 0 to 1
train --env CartPole-v1 --algo DQN --set replay_buffer_config.capacity=abc
    DQN's 'replay_buffer_config.capacity' is 'abc'; it must be like its default, 10000
train --env CartPole-v1 --algo DQN --set replay_buffer_config.capcity=5000
    DQN's replay buffer, MultiAgentReplayBuffer, has no setting 'capcity'; did you mean capacity?
train --env CartPole-v1 --algo DQN --set 'exploration_config={type: SoftQ, temperature: 0}'
    DQN's 'exploration_config.temperature' is 0; it must be a number above 0
train --env CartPole-v1 --algo DQN --set num_atoms=0
    DQN's 'num_atoms' is 0; it must be at least 1
train --env CartPole-v1 --set model.lstm_cell_size=0
    PPO's 'model.lstm_cell_size' is 0; it must be a whole number of at least 1
train --env CartPole-v1 --set num_env_runners=3
    'num_env_runners' is set by --num-env-runners, not as a hyperparameter
train --env CartPole-v1 --set sgd_minibatch_size=64
    'sgd_minibatch_size' has another name in RLlib today: 'minibatch_size'
train --env CartPole-v1 --set num_sgd_iter=5
    'num_sgd_iter' has another name in RLlib today: 'num_epochs'
train --env CartPole-v1 --set synchronize_filters=false
    'synchronize_filters' has no effect: RLlib no longer uses it
train --env CartPole-v1 --set num_learners=2
    'num_learners' has no effect here: the learner is one process; --num-gpus gives it a GPU, and --num-cpus bounds its threads
train --env CartPole-v1 --set env_to_module_connector=mine.py
    'env_to_module_connector' has no effect here: it is of RLlib's new API stack, which has no TensorFlow; model.KEY sets the network, --wrap what it sees
train --env CartPole-v1 --set torch_compile_learner=true
    'torch_compile_learner' has no effect here: it is PyTorch's, and TensorFlow learns here
train --env CartPole-v1 --set evaluation_num_env_runners=1
    'evaluation_num_env_runners' has no effect here: use --evaluate-every and --evaluate-episodes
train --env Pendulum-v1 --algo SAC --set lr=1e-3
    'lr' has no effect here: SAC's rates are optimization.actor_learning_rate, .critic_learning_rate and .entropy_learning_rate
train --env CartPole-v1 --algo DQN --set epsilon=0.1
    'epsilon' has no effect here: use exploration_config.initial_epsilon, .final_epsilon and .epsilon_timesteps
train --env CartPole-v1 --set train_batch_size=50
    PPO's 'minibatch_size' is ... and its 'train_batch_size' 50; a minibatch is a part of a batch: --set minibatch_size=50 or less
train --env CartPole-v1 --algo APPO --set num_multi_gpu_tower_stacks=2
    APPO's 'num_multi_gpu_tower_stacks' is 2, and there are no towers, which RLlib has for many GPUs; leave it at 1
train --env CartPole-v1 --algo IMPALA --set minibatch_buffer_size=4
    IMPALA's 'minibatch_buffer_size' is 4 and its 'num_multi_gpu_tower_stacks' 1; with --framework tf, RLlib keeps no more batches than that; leave it at 1
train --env CartPole-v1 --algo IMPALA --set learner_queue_size=8 --set train_batch_size=400 --set rollout_fragment_length=32
    IMPALA's 'train_batch_size' is 400 and its 'rollout_fragment_length' 32; RLlib makes the updates, because of learner_queue_size=8, and it learns from whole fragments only: --set train_batch_size=416
train --env CartPole-v1 --algo IMPALA --set grad_clip=null
    IMPALA's 'grad_clip' is null; it must be a number, and 1e9 clips nothing
train --env CartPole-v1 --set evaluation_interval=1
    'evaluation_interval' has no effect here: use --evaluate-every, which also decides which checkpoint is best
train --env CartPole-v1 --set restart_failed_sub_environments=true
    'restart_failed_sub_environments' has no effect here: RLlib's sampler alone would honour it; catch the error in the environment
train --env CartPole-v1 --set sample_timeout_s=5
    'sample_timeout_s' has no effect here: a batch waits for every env runner that makes progress
train --env ALE/Pong-v5 --atari deepmnd
    --atari is 'deepmnd'; it must be machado or deepmind
train --env CartPole-v1 --atari deepmind
    --atari is for games, whose ids begin with ALE/, and --env is CartPole-v1
train --env ALE/Pong-v5 --atari deepmind --env-config frameskip=2
    --env-config frameskip is decided by --atari; give one of the two
train --env CartPole-v1 --set preprocessor_pref=rllib
    'preprocessor_pref' has no effect here: observations reach the network as they are; --wrap changes them
train --env envs.py:Sees --set model.conv_filters=[[16,[8,8],4]]
    model.conv_filters is [[16,[8,8],4]]: 4x4 places of 20x20 pixels would be left behind the last filter, and one place must be; leave it out, or begin with what is chosen then: --set model.conv_filters=[[16,[4,4],2],[32,[3,3],2],[256,[5,5],1]]
train --env envs.py:Sees --set model.conv_filters=[16,32]
    model.conv_filters is [16,32]: each filter is [outputs, [height, width], stride]; leave it out, or begin with what is chosen then: --set model.conv_filters=[[16,[4,4],2],...
train --env envs.py:Sees --set observation_filter=MeanStdFilter
    observation_filter is MeanStdFilter, and Sees shows images of whole numbers, to which what is filtered would be rounded; leave it out, or scale them by a wrapper
train --env CartPole-v1 --set model.normalize_images=true
    model.normalize_images is true, for images of numbers from 0 to 128 or more, 255 at most, and 32 pixels at least, and CartPole-v1 shows Box[4] of float32 from ...; leave it out
train --env envs.py:Shades --algo DQN --set model.normalize_images=true
    model.normalize_images is true, for images of numbers from 0 to 128 or more, 255 at most, and 32 pixels at least, and Shades shows Box[20, 20, 3] of float32 from 0 to 1; leave it out
train --env envs.py:Sees --set model.normalize_images=3
    PPO's 'model.normalize_images' is 3; it must be like its default, False
train --env CartPole-v1 --set callbacks=3
    'callbacks' is 3; it must name a class of RLlib's callbacks, as mine.py:MyCallbacks; others are for --callbacks
train --env CartPole-v1 --set callbacks=envs.py:Base
    --set callbacks=...envs.py:Base: it is not derived from ray.rllib.callbacks.callbacks.RLlibCallback; others are for --callbacks
train --env CartPole-v1 --set callbacks=hears.py:Sees
    --set callbacks=...hears.py:Sees: ...hears.py has no class Sees; it has Hears
train --env CartPole-v1 --set callbacks=hears.py:Hears
    --set callbacks=...hears.py:Hears: its on_learn_on_batch is not called by a run of `train`; leave it out
train --env CartPole-v1 --set callbacks_on_train_result=print
    'callbacks_on_train_result' takes a function of Python; put it into a class: --set callbacks=mine.py:MyCallbacks
train --env CartPole-v1 --algo BC --input played.json --set callbacks=hears.py:Hears
    'callbacks' is 'hears.py:Hears': RLlib calls them where it samples, and BC samples none; use --callbacks
train --env CartPole-v1 --model Plain
    --model Plain names no class; write it as mine.py:Network
train --env CartPole-v1 --model none.py:Plain
    --model ...none.py:Plain: there is no file ...none.py; an image sees bound folders alone
train --env CartPole-v1 --model networks.py:Plan
    --model ...networks.py:Plan: ...networks.py has no class Plan; it has Shown, Plain, ...
train --env CartPole-v1 --model networks.py:Few
    --model ...networks.py:Few: its outputs have the shape [n, 1]; its call must give (outputs [n, 2], values [n])
train --env CartPole-v1 --model networks.py:Plain --algo DQN
    --model ...networks.py:Plain: DQN learns values of actions, with networks of RLlib's alone; use --algo PPO or APPO or IMPALA, or leave --model out
train --env CartPole-v1 --model networks.py:Plain --set model.use_lstm=true
    'model.use_lstm' is of RLlib's networks, and --model ...networks.py:Plain is your own; its own arguments are --set model.custom_model_config.NAME=VALUE
train --env CartPole-v1 --set model.custom_model=networks.py:Plain
    'model.custom_model' is set by --model, not as a hyperparameter
train --env CartPole-v1 --set model.custom_model_config.width=9
    'model.custom_model_config' has arguments of a network of your own; name it by --model
train --env CartPole-v1 --config none.yaml
    --config none.yaml cannot be read: No such file or directory
train --env CartPole-v1 --config bad.yaml
    --config bad.yaml is not valid YAML at line 2, column 8: mapping values are not allowed here
train --env CartPole-v1 --config list.yaml
    --config list.yaml has list at its top; it must be keys and values, as in `lr: 0.0003`
train --env CartPole-v1 --config blank.yaml
    --config blank.yaml has nothing in it; it must have keys and values, as in `lr: 0.0003`
train --env CartPole-v1 --config bytes.yaml
    --config bytes.yaml is not a YAML text: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte
train --env CartPole-v1 --save-replay-buffer
    --save-replay-buffer: PPO has no replay buffer; DQN and SAC have one
train --env CartPole-v1 --algo DQN --set 'exploration_config.epsilon_schedule={type: PiecewiseSchedule, endpoints: [[0, 1], [9, 0]]}'
    DQN's 'exploration_config.epsilon_schedule' is {...}; it must have endpoints whose env steps rise, as [[0, 1.0], [20000, 0.1]], and an outside_value, as 0.1, all epsilons from 0 to 1
train --env CartPole-v1 --seed -1
    --seed is -1; it must be at least 0
train --env CartPole-v1 --seed 4294967296
    --seed is 4294967296; it must be at most 4294967295
train --env CartPole-v1 --num-cpus 9999
    --num-cpus is 9999, but this process may use ...; see `taskset -p $$` or the job's limits
train --env CartPole-v1 --num-gpus 1
    --num-gpus is 1, but there are 0 here; for an NVIDIA GPU run with `apptainer exec --nv rl-gpu.sif`
train --env CartPole-v1 --num-gpus 2
    --num-gpus is 2, and a learner uses one GPU at most; use --num-gpus 1, and other GPUs for other runs
train --env CartPole-v1 --num-env-runners 9999
    9999 env runners and a learner need 10000 CPUs, and this run has ...; use --num-env-runners ... or fewer
train --env CartPole-v1 --num-envs-per-env-runner 0
    --num-envs-per-env-runner is 0; it must be at least 1
train --env CartPole-v1 --local-mode --num-cpus 2
    --local-mode runs everything in one process; leave out --num-env-runners, --env-processes and --num-cpus
train --env CartPole-v1 --algo DQN --normalize-rewards
    --normalize-rewards: DQN learns from a replay buffer, whose rewards would have old scales; use --algo PPO or APPO or IMPALA
train --env CartPole-v1 --normalize-rewards --set clip_rewards=true
    --normalize-rewards scales rewards, and clip_rewards=True clips them; leave one of the two out, by --no-normalize-rewards if it is the preset's
train --env CartPole-v1 --normalize-rewards --set model.use_attention=true
    --normalize-rewards: RLlib samples this run, because model.use_attention is True, and its sampler scales no rewards; give --no-normalize-rewards
train --env CartPole-v1 --set model.use_attention=true --set model.attention_use_n_prev_rewards=2
    PPO's 'model.attention_use_n_prev_rewards' is 2, and RLlib's sampler shows the network the steps before those that its learner shows it; it must be 0
train --env hunt.py:Hunt --policies each --normalize-rewards
    --normalize-rewards is for environments of one agent, and Hunt has 3
train --resume run --normalize-rewards
    --normalize-rewards is True, but the run of ... has False; leave --normalize-rewards out to resume that run
train --env Acrobot-v1 --env-processes 9999
    --env-processes is 9999, and this run has ... CPUs; a process needs one: use ... or fewer
train --env Acrobot-v1 --env-processes 1 --num-envs-per-env-runner 4 --set model.use_attention=true
    --env-processes is 1, and RLlib samples this run, because ...; its sampler steps environments in the env runner's own process: leave it out
train --env Acrobot-v1 --env-processes 2 --num-envs-per-env-runner 1
    --env-processes is 2, and an env runner steps 1 environment; a process needs one at least: use fewer, or more environments by --num-envs-per-env-runner
train --env CartPole-v1 --env-processes 2
    --env-processes is 2, and CartPole-v1 steps all of its copies together, in a vector environment of its own; leave it out
train --env hunt.py:Hunt --policies each --env-processes 2
    --env-processes is 2, and Hunt has 3 agents; environments of many agents are stepped in the env runner's own process: leave it out
train --env CartPole-v1 --stop-iters -1
    --stop-iters is -1; it must be greater than 0
train --env CartPole-v1 --stop-iters x
    Invalid value for '--stop-iters': Input should be a valid integer, unable to parse string as an integer; see `train --help`
train --env
    Option '--env' requires an argument; see `train --help`
evaluate run --video
    Option '--video' requires an argument; see `evaluate --help`
train --env CartPole-v1 --local-mode=3
    Option '--local-mode' does not take a value; see `train --help`
train --env CartPole-v1 --stop-iter 1
    No such option: --stop-iter (Possible options: --stop-iters, --stop-time, --stop-timesteps); see `train --help`
train --env CartPole-v1 --stop-reward nan
    --stop-reward is nan; it must be a number
train --env CartPole-v1 --checkpoint-every 0
    --checkpoint-every is 0; it must be at least 1
train --env CartPole-v1 --log-to wandbb
    --log-to is 'wandbb'; it must be wandb or mlflow; did you mean wandb?
train --env CartPole-v1 --results-dir envs.py
    --results-dir envs.py cannot be written: Not a directory; give another
train --resume none
    --resume ...none is neither a run's folder nor a checkpoint; runs lie under ~/ray_results/<env>/ unless --results-dir said otherwise
train --resume run --env Acrobot-v1
    --env is Acrobot-v1, but the run of ...checkpoint_000002 has CartPole-v1; leave --env out to resume that run
train --resume run --algo DQN
    --algo is DQN, but the run of ...checkpoint_000002 has PPO; leave --algo out to resume that run
train --resume run --seed 9
    --seed is 9, but the run of ...checkpoint_000002 has 1; leave --seed out to resume that run
train --resume run --env-config gravity=1
    --env-config is {'gravity': 1}, but the run of ...checkpoint_000002 has {}; leave --env-config out to resume that run
train --resume run --set model.fcnet_hiddens=[9]
    model is ...[9]..., but ...checkpoint_000002 has the weights of ...; another network is a new run
train --resume run --model networks.py:Plain
    --model is networks.py:Plain, but the run has a network of RLlib's; --model is only for one that has moved
train --resume run --stop-iters 1
    the run is already at its end: 1 iteration; give a later one, as in --stop-timesteps 2000000
train --resume damaged
    checkpoint ...checkpoint_000002 is damaged: algorithm_state.pkl is missing, cut short or changed; there is none before it
train --env hunt.py:Hunt
    environment '...hunt.py:Hunt' has agents with different spaces: 'hunter_0' has observations Box[2] of float32 and actions Discrete(3), 'prey' has observations Box[3] of float32 and actions Box[1] of float32; one policy for all of them needs equal ones, so pad them to one shape, or give each agent its own by --policies each
train --env hunt.py:Hunt --policies ech
    --policies is 'ech'; did you mean each?; --policies takes shared, each, a YAML file as roles.yaml, or a function as mine.py:mapping
train --env hunt.py:Hunt --policies none.yaml
    --policies ...none.yaml cannot be read: No such file or directory
train --env hunt.py:Hunt --policies half.yaml
    --policies ...half.yaml: agent 'prey' has no policy; every agent needs one: hunter_0, hunter_1, prey
train --env hunt.py:Hunt --policies wolf.yaml
    --policies ...wolf.yaml: no agent is called 'wolf'; there are hunter_0, hunter_1, prey
train --env hunt.py:Hunt --policies long.yaml
    --policies ...long.yaml: the policy of agent 'hunter_0' is 'a policy'; its name must have letters, digits, _, . and - alone, and begin with a letter or digit
train --env hunt.py:Hunt --policies twice.yaml
    --policies ...twice.yaml is not valid YAML at line 3, column 1: the key 'prey' is there twice
train --env hunt.py:Hunt --policies number.yaml
    --policies ...number.yaml: the policy of agent 'hunter_0' is 1, which is no text; it must be a name; in quotes it is one: '1'
train --env crowd.py:Crowd --env-config wrong=twice
    environment '...crowd.py:Crowd': its possible_agents have 'ben' twice; each agent needs a name of its own
train --env hunt.py:Hunt --policies hunt.py:what
    --policies ...hunt.py:what: ...hunt.py has no function what
train --env hunt.py:Hunt --policies hunt.py:number
    --policies ...hunt.py:number: it gave 3 for agent 'hunter_0'; it must give the name of a policy
train --env hunt.py:Hunt --policies hunt.py:nobody
    --policies ...hunt.py:nobody: it raised KeyError: 'hunter_0' for agent 'hunter_0'; it is called with an agent's name
train --env hunt.py:Hunt --policies each --train-policies pray
    --train-policies: 'pray' is none of the policies, hunter_0, hunter_1, prey; did you mean prey?
train --env hunt.py:Hunt --policies each --train-policies ,
    --train-policies is ','; it must name policies that learn, as in hunter,prey
train --env CartPole-v1 --policies each
    --policies each is for environments of many agents, and this one has one; leave it out
train --env CartPole-v1 --train-policies prey
    --train-policies prey says which of several policies learn, and all agents share one; give them several by --policies each
train --env CartPole-v1 --opponent self
    --opponent self needs several agents, and CartPole-v1 has one; leave it out
train --env heap.py:Heap --opponent sefl
    --opponent is 'sefl', which is neither a run nor a checkpoint; did you mean self?; it takes self, random, or the folder of one
train --env heap.py:Heap --opponent heap.py
    --opponent ...heap.py is neither a run's folder nor a checkpoint; runs lie under ~/ray_results/<env>/ unless --results-dir said otherwise
train --env heap.py:Heap --opponent run
    --opponent run was trained by an older version, which kept no spaces of many agents; train another one
train --env heap.py:Heap --opponent damaged
    checkpoint ...checkpoint_000002 is damaged: algorithm_state.pkl is missing, cut short or changed; ...
train --env heap.py:Heap --opponent other
    --opponent other was trained with observations Box[4] of float32 and actions Discrete(2), and Heap has 2 agents, each with ...; an opponent needs the same spaces
train --env heap.py:Heap --opponent self --stop-reward 0.5
    --stop-reward is 0.5, and the run plays against earlier policies of its own, which get better, too; have it evaluated against chance, as by --evaluate-every 10, or use another --stop-...
sweep --env heap.py:Heap --opponent self --grid lr=0.1,0.2
    --opponent self: a sweep compares trials by the returns of their training, and each would have other opponents; use random or another run
train --env heap.py:Heap --opponent-every 5
    --opponent-every is 5, and no policies of the run itself are kept as opponents; use it with --opponent self
train --env heap.py:Heap --opponent self --opponent-every 0
    --opponent-every is 0; it must be at least 1
train --env heap.py:Heap --opponent self --set model.use_lstm=true
    --opponent self: RLlib samples this run, because model.use_lstm is True, with action masks, and its sampler has no opponents; leave it out
train --env hunt.py:Hunt --policies each --opponent self
    --opponent self lets one policy play against earlier ones of its own, and --policies each has several; leave --policies out, or name another run
train --env hunt.py:Hunt --policies each --opponent random
    --opponent random plays for the policies that do not learn, and all of --policies each do; name those that learn by --train-policies
train --env heap.py:Heap --policies one.yaml --opponent self
    --opponent self plays all agents but one where they share a policy, and --policies ...one.yaml gives all of them 'player'; leave --policies out, which is the same
train --resume run --opponent-every 10
    --opponent-every is 10, but the run of ... has none; leave --opponent-every out to resume that run
train --resume run --opponent random
    --opponent is random, but the run of ... has none; leave --opponent out to resume that run
train --resume run --policies each
    --policies is each, but the run of ... has shared; leave --policies out to resume that run
train --env CartPole-v1 --precision fp16
    --precision is 'fp16'; it must be float32 or bf16
train --env CartPole-v1 --precision bf16
    --precision is bf16, and the learner of this run has no GPU; on CPU cores it would be slower: leave it out, or give --num-gpus 1
train --env CartPole-v1 --algo BC
    BC learns from recorded episodes, and none are given; name their folder, as in --input data/, which `evaluate RUN --record data/` writes
train --env CartPole-v1 --algo BC --input none
    --input ...none is not there; an image sees home, the working folder, /tmp, and what --bind adds to them, or RL_BIND in a job
train --env CartPole-v1 --algo BC --input run/checkpoints
    --input ...run/checkpoints has no file *.json; `evaluate RUN --record FOLDER` writes one
train --env CartPole-v1 --algo BC --input run
    ...run/params.json, line 1 is damaged, or no batch of RLlib's offline data (JSONDecodeError: Expecting property name enclosed in double quotes: ...)
train --env CartPole-v1 --algo MARWIL --input empty.json
    --input ...empty.json has no steps in it; `evaluate RUN --record FOLDER` writes some
train --env CartPole-v1 --algo BC --input cut.json
    ...cut.json, line 1 is damaged, or no batch of RLlib's offline data (JSONDecodeError: Expecting ...)
train --env CartPole-v1 --algo BC --input nan.json
    ...nan.json, line 1: rewards of step 2 are not finite in float32, which would spoil every weight
train --env CartPole-v1 --algo BC --input nowhere.json
    ...nowhere.json, line 1: action 7 of step 2 is none of CartPole-v1, whose actions are Discrete(2)
train --env CartPole-v1 --algo BC --input uneven.json
    ...uneven.json, line 1 has 1 rewards and 2 obs; a step has one of each
train --env Acrobot-v1 --algo BC --input played.json
    ...played.json, line 1: obs are of the shape [4] with numbers from 0 to 0, and Acrobot-v1 has observations Box[6] of float32, [6] for a network
train --env CartPole-v1 --algo BC --input arrow
    --input ...arrow is a Minari data set in the format arrow; those in the format hdf5 can be read, which Minari writes by DataCollector(..., data_format="hdf5")
train --env CartPole-v1 --algo BC --input gone
    --input ...gone/data is a Minari data set without its file main_data.hdf5
train --env CartPole-v1 --algo BC --input torn
    ...torn/main_data.hdf5 is damaged, or no file of a Minari data set (...)
train --env Acrobot-v1 --algo BC --input cart
    ...cart/main_data.hdf5, episode_0: its observations are not 9 of Acrobot-v1, Box[6] of float32 (the shape of 9 is [9, 4])
train --env CartPole-v1 --algo CQL --input played.json
    CQL cannot act in CartPole-v1: its actions are Discrete, not Box; use --algo BC or MARWIL
train --env Pendulum-v1 --algo CQL --input played.json
    ...played.json, line 1: obs are of the shape [4] with numbers from 0 to 0, and Pendulum-v1 has observations Box[3] of float32, [3] for a network
train --env Pendulum-v1 --algo CQL --input swings.json --set lagrangian=true
    CQL's 'lagrangian' is True, and RLlib's loss with it fails in TensorFlow; min_q_weight is the weight that it would learn
train --env Pendulum-v1 --algo CQL --input swings.json --set n_step=3
    'n_step' has no effect here: CQL draws single steps
train --env Pendulum-v1 --algo CQL --input swings.json --set temperature=0
    CQL's 'temperature' is 0; it must be a number above 0
train --env Pendulum-v1 --algo CQL --input swings.json --set normalize_actions=false
    normalize_actions is false, and CQL's loss takes actions for those between -1 and 1; leave it at true
train --env Pendulum-v1 --algo CQL --input swings.json --save-replay-buffer
    --save-replay-buffer: CQL has no replay buffer; DQN and SAC have one
train --env CartPole-v1 --input played.json
    --input played.json: PPO samples, and learns from no files; use --algo BC or CQL or MARWIL
train --env CartPole-v1 --algo BC --input played.json --num-env-runners 2
    --num-env-runners is 2, and BC learns from recorded episodes and samples none; leave it out
train --env CartPole-v1 --algo BC --input played.json --normalize-rewards
    --normalize-rewards: BC learns from recorded episodes; use --algo PPO or APPO or IMPALA
train --env CartPole-v1 --algo BC --input played.json --env-processes 2
    --env-processes is 2, and BC learns from recorded episodes and samples none; leave it out
train --env CartPole-v1 --algo BC --input played.json --set shuffle_buffer_size=9
    'shuffle_buffer_size' has no effect here: a run on recorded episodes draws from all of their steps
train --env CartPole-v1 --algo BC --input played.json --set observation_filter=MeanStdFilter
    observation_filter is MeanStdFilter, and BC draws single steps of recorded episodes, as they were recorded; leave it at its default
train --env CartPole-v1 --algo BC --input played.json --set beta=1
    BC's 'beta' is 1, and BC imitates all steps alike; MARWIL weighs them by it: use --algo MARWIL
train --env CartPole-v1 --algo BC --input played.json --set input_=data
    'input_' is set by --input, not as a hyperparameter
train --env hunt.py:Hunt --algo BC --input played.json --policies each
    BC learns from episodes of one agent, and Hunt has 3
train --resume run --input played.json
    --input played.json: PPO samples, and learns from no files; use --algo BC or CQL or MARWIL
evaluate
    Missing argument 'RUN|CHECKPOINT'; see `evaluate --help`
evaluate none
    RUN ...none is neither a run's folder nor a checkpoint; runs lie under ~/ray_results/<env>/ unless --results-dir said otherwise
evaluate run --episodes 0
    --episodes is 0; it must be at least 1
evaluate run --best --last
    --best, --last and --checkpoint each name a checkpoint; give one of them
evaluate run --checkpoint 9
    ...run has no checkpoint of iteration 9; it has those of 2
evaluate run --video a.avi
    --video is 'a.avi'; its name must end with .mp4 or .gif
evaluate run --video none/a.mp4
    --video none/a.mp4 cannot be written: there is no folder ...none
evaluate run --env none.py:CartPole-v1
    environment '...none.py:CartPole-v1': there is no file ...none.py; an image sees bound folders alone
evaluate run --env Acrobot-v1
    --env is Acrobot-v1, but the run has CartPole-v1; --env is only for one that has moved
evaluate run --model networks.py:Plain
    --model is networks.py:Plain, but the run has a network of RLlib's; --model is only for one that has moved
evaluate run --against random
    --against needs an environment of several agents, and CartPole-v1 has one
evaluate run --record played.json
    --record ...played.json cannot be written: File exists
evaluate run --record data --against random
    --record keeps what one agent does, and --against has several; give one of the two
evaluate damaged
    checkpoint ...checkpoint_000002 is damaged: algorithm_state.pkl is missing, cut short or changed; there is none before it
sweep --env CartPole-v1
    nothing is searched; give --grid lr=1e-3,3e-4, or --sample 'gamma=uniform(0.9,0.999)', or both
sweep --env Acrobot-v1 --grid lr=1e-3,3e-4 --env-processes 2
    --env-processes is 2, and --cpus-per-trial 1; a process needs a core
sweep --env CartPole-v1 --algo BC --grid lr=1e-3,3e-4
    --algo BC: a sweep compares trials by the returns of their training, and BC samples none; give `train` one setting after the other, and `compare` the runs
sweep --env CartPole-v1 --model networks.py:Plain --grid model.fcnet_hiddens=[8],[9]
    'model.fcnet_hiddens' is of RLlib's networks, and --model ...networks.py:Plain is your own; its own arguments are --set model.custom_model_config.NAME=VALUE
sweep --env CartPole-v1 --grid lr
    --grid 'lr' has no values; write it as --grid lr=1e-3,3e-4
sweep --env CartPole-v1 --grid lr=1e-3,3e-4,0.001
    --grid 'lr=1e-3,3e-4,0.001' has 0.001 twice; the same again with other seeds is --num-samples 2
sweep --env Pendulum-v1 --algo SAC --grid lr=1e-3,3e-4
    'lr' has no effect here: SAC's rates are optimization.actor_learning_rate, .critic_learning_rate and .entropy_learning_rate
sweep --env CartPole-v1 --grid lrx=1,2
    PPO has no hyperparameter 'lrx'; did you mean lr?
sweep --env CartPole-v1 --sample 'gamma=uniform(0,2)'
    PPO's 'gamma' is 2; it must be from 0 to 1
sweep --env CartPole-v1 --sample 'lr=unifrm(1,2)'
    --sample 'lr=unifrm(1,2)': there is no distribution 'unifrm'; did you mean uniform or loguniform?
sweep --env CartPole-v1 --sample 'num_epochs=uniform(1,11)'
    PPO's 'num_epochs' is 4.183099; it must be a whole number
sweep --env CartPole-v1 --sample 'lr=uniform(2,1)'
    --sample 'lr=uniform(2,1)': uniform needs a lower and a higher number, as in gamma=uniform(0.9,0.999)
sweep --env CartPole-v1 --sample 'lr=uniform(0,.inf)'
    --sample 'lr=uniform(0,.inf)': uniform needs a lower and a higher number, as in gamma=uniform(0.9,0.999)
sweep --env CartPole-v1 --sample 'num_epochs=randint(1.5,9)'
    --sample 'num_epochs=randint(1.5,9)': randint needs a lower and a higher whole number, as in num_epochs=randint(1,11)
sweep --env CartPole-v1 --sample 'lr=loguniform(0,1)'
    --sample 'lr=loguniform(0,1)': loguniform has no values at or below 0
sweep --env CartPole-v1 --sample 'lr=choice()'
    --sample 'lr=choice()': choice needs values, as in lr=choice(1,2)
sweep --env CartPole-v1 --grid lr=1 --sample 'lr=uniform(1,2)'
    'lr' is searched twice; give it to --grid or to --sample once
sweep --env CartPole-v1 --grid lr=1 --scheduler asha
    --scheduler asha compares trials of one length; give that of the longest, as --stop-timesteps 200000
sweep --env CartPole-v1 --grid lr=1 --scheduler best
    --scheduler is 'best'; it must be asha (ends bad trials early) or pbt (the worse take over from the better)
sweep --env CartPole-v1 --grid lr=1 --scheduler pbt --stop-iters 9
    --scheduler pbt needs a population; give --num-samples 4 or more
sweep --env CartPole-v1 --grid lr=1 --cpus-per-trial 999
    --cpus-per-trial is 999, but there are ...; a trial must fit
sweep --env CartPole-v1 --grid lr=1 --gpus-per-trial 1
    --gpus-per-trial is 1, but there are 0; a trial must fit
sweep --env CartPole-v1 --grid lr=1 --gpus-per-trial 4
    --gpus-per-trial is 4, and a learner uses one GPU at most; use --gpus-per-trial 1, and other GPUs for other runs
sweep --resume run
    --resume ...run is not the folder of a sweep; they lie under ~/ray_results/<env>/
check none.py:Env
    environment '...none.py:Env': there is no file ...none.py; an image sees bound folders alone
check envs.py:Broken
    environment '...envs.py:Broken' cannot be made: RuntimeError: the licence server is away (...envs.py, line 19)
rollout-demo --env Cartpole-v1
    environment 'Cartpole-v1' is not known to Gymnasium; did you mean CartPole-v1 or ...?
rollout-demo --seed -1
    --seed is -1; it must be at least 0
rollout-demo --steps 0
    --steps is 0; it must be at least 1
runs none
    there is no results folder ...none; `train` makes one, or give the --results-dir it had
compare none
    run ...none is not there; `runs` lists those of ~/ray_results, `runs FOLDER` those of another
compare run --column kl
    run ...run has no values of 'kl'...
compare young
    no episode has ended in run ...young yet, so that it has no mean return; --column names another column of progress.csv
compare run --out none/a.png
    --out ...none/a.png cannot be written: No such file or directory
report bad.yaml
    run ...bad.yaml is not a run's folder; `runs` lists those of ~/ray_results, `runs FOLDER` those of another
report run --out none/a.html
    --out ...none/a.html cannot be written: No such file or directory
packages add
    no package is named; name some, or a file of them by -r
packages add ''
    no package is named; name some, or a file of them by -r
packages add -r none.txt
    none.txt is not there; an image sees home, the working folder, /tmp and what --bind names
packages remove
    No such command 'remove'; see `packages --help`
check-gpu --num-gpus 0
    Invalid value for '--num-gpus': Input should be greater than or equal to 1; see `check-gpu --help`
"""


def bad_inputs():
    """Every command line with the sentence that is said."""
    lines = TYPED.strip("\n").splitlines()
    return dict(zip(lines[::2], [line.strip() for line in lines[1::2]], strict=True))


def is_said(sentence, error):
    """Whether a command's standard error is this one sentence."""
    parts = [re.escape(part) for part in f"error: {sentence}\n".split("...")]
    return re.fullmatch("[^\n]*".join(parts), error) is not None


def row(typed, sentence):
    """The line that the page of faults has for it."""
    return f"| `{_cell(typed)}` | {_cell(sentence)} |"


def _cell(text):
    # Of what Markdown would take for a tag or for emphasis.
    return text.replace("|", "\\|").replace("<", "&lt;").replace("__", "\\_\\_")
