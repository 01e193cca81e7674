"""Which policy acts for which agent: by a file, by a function, and as a run has it."""

from pathlib import Path

import pytest

from rlsif.envs.find import ONE, find
from rlsif.envs.reference import parse
from rlsif.errors import InputError
from rlsif.learning.assignment import by_option, check_trained, names_in, of_run, told
from rlsif.learning.spec import ManyPolicies, RunSpec, from_json
from rlsif.training.results import Row

HUNT = Path(__file__).parents[1] / "data/hunt.py"
AGENTS = ("hunter_0", "hunter_1", "prey")


def test_a_name_counts_before_patterns_and_the_first_pattern_before_others(tmp_path):
    file = tmp_path / "roles.yaml"
    file.write_text("'*': rest\nhunter_*: hunter\nhunter_1: scout\n")
    assert by_option(told(str(file)))(AGENTS) == {"hunter_0": "rest", "hunter_1": "scout", "prey": "rest"}


def test_a_name_with_brackets_is_no_pattern_where_an_agent_has_it(tmp_path):
    file = tmp_path / "roles.yaml"
    file.write_text("'a[0]': first\n'a[[]*': rest\n")
    assert by_option(str(file))(("a[0]", "a[1]")) == {"a[0]": "first", "a[1]": "rest"}


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("1", "the policy of agent 'a0' is 1, which is no text; it must be a name; in quotes it is one: '1'"),
        ("[x]", r"the policy of agent 'a0' is \['x'\], which is no text; it must be a name$"),
        ("a b", "the policy of agent 'a0' is 'a b'; its name must have letters, digits"),
    ],
)
def test_what_is_no_name_of_a_policy_is_told(tmp_path, policy, said):
    file = tmp_path / "roles.yaml"
    file.write_text(f"a0: {policy}\n")
    with pytest.raises(InputError, match=said):
        by_option(str(file))(("a0",))


def test_a_mapping_that_ends_the_process_is_told(tmp_path):
    file = tmp_path / "exits.py"
    file.write_text("def role(agent):\n    raise SystemExit(3)\n")
    with pytest.raises(InputError, match="exits.py:role: it raised SystemExit: 3 for agent 'a0'"):
        by_option(f"{file}:role")(("a0",))


def test_a_function_and_each_give_names_and_shared_gives_none():
    assert by_option(told(f"{HUNT}:role"))(AGENTS) == {"hunter_0": "hunter", "hunter_1": "hunter", "prey": "prey"}
    assert by_option(told("each"))(AGENTS) == dict(zip(AGENTS, AGENTS))
    assert by_option(told("shared")) is None


def test_policies_have_the_spaces_of_their_agents():
    found = find(parse(f"{HUNT}:Hunt", {"masks": True}), by_option(f"{HUNT}:role"))
    hunter, prey = found.policies["hunter"], found.policies["prey"]
    assert hunter.agents == ("hunter_0", "hunter_1") and prey.agents == ("prey",)
    assert hunter.mask is not None and prey.mask is None and found.agents == AGENTS
    assert found.seen_by("hunter_1") is hunter and found.views == found.policies
    assert (
        found.described.startswith("3 agents: hunter_0, hunter_1 with observations")
        and "; prey with" in found.described
    )
    # A run is held to the spaces, whoever has which policy.
    assert find(parse(f"{HUNT}:Hunt", {"masks": True}), by_option("each")).described == found.described


def test_agents_of_one_policy_need_equal_spaces():
    with pytest.raises(InputError, match="give each agent its own by --policies each"):
        find(parse(f"{HUNT}:Hunt"))


def test_a_run_keeps_what_its_mapping_said():
    many = ManyPolicies("each", dict(zip(AGENTS, AGENTS)), ("prey",))
    spec = RunSpec("PPO", "tf", parse(f"{HUNT}:Hunt"), policies=many)
    assert from_json(spec.as_json()) == spec
    assert of_run(many)(AGENTS) == dict(zip(AGENTS, AGENTS)) and of_run(None) is None
    with pytest.raises(InputError, match="agent 'fox' has no policy"):
        of_run(many)(("fox",))
    # Runs of earlier versions say nothing of policies.
    old = spec.as_json()
    del old["policies"]
    assert from_json(old).policies is None


def test_names_of_those_that_learn():
    assert names_in("a, b,a") == ("a", "b") and names_in(None) == ()
    check_trained(("prey",), ("hunter", "prey"))
    with pytest.raises(InputError, match="did you mean prey"):
        check_trained(("pray",), ("hunter", "prey"))
    with pytest.raises(InputError, match="all agents share one"):
        check_trained(("prey",), (ONE,))


def test_a_policys_return_is_the_mean_over_its_agents():
    row = Row(None).add(
        {
            "returns": [3.0, 5.0], "lengths": [1, 1], "num_env_steps_sampled_lifetime": 2, "num_healthy_workers": 0,
            "statistics": {}, "num_agent_steps_sampled_lifetime": 4,
            "agents": [{"a": 1.0, "b": 2.0}, {"b": 6.0}], "policies": {"both": ["a", "b"], "none": ["c"]},
        },
        1.0,
    )  # fmt: skip
    assert row["policy_return/both"] == 3 and "policy_return/none" not in row and row["agent_return/b"] == 4
