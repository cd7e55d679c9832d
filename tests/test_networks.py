"""Networks: their sizes by hand, Torch7's initialisation, views of flat vectors, the interface of a module."""

import functools
import math
from collections.abc import Mapping

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from a3crepro.algorithms._algorithm import Actor, Outputs, ValueBased
from a3crepro.common.rollout import Action, Rollout
from a3crepro.config import compose
from a3crepro.models.module import ModuleModel
from a3crepro.networks._network import flatten, parameter_count, seeded, view_as_parameters

ATARI = gym.spaces.Box(0, 255, (4, 84, 84), np.uint8)
MINATAR = gym.spaces.Box(0, 1, (4, 10, 10), np.uint8)
BOARD = gym.spaces.Box(0.0, 1.0, (6, 5), np.float32)

# Of each layer: (inputs of a unit + 1 for its bias) · units. An LSTM has 4 gates with two biases each.
MNIH2013_TORSO = (4 * 8 * 8 + 1) * 16 + (16 * 4 * 4 + 1) * 32 + (32 * 9 * 9 + 1) * 256
MNIH2015_TORSO = (4 * 8 * 8 + 1) * 32 + (32 * 4 * 4 + 1) * 64 + (64 * 3 * 3 + 1) * 64 + (64 * 7 * 7 + 1) * 512
MINATAR_TORSO = (4 * 3 * 3 + 1) * 16 + (16 * 8 * 8 + 1) * 128
MLP_TORSO = (30 + 1) * 64 + (64 + 1) * 64


def lstm(inputs: int, cells: int) -> int:
    return 4 * cells * (inputs + cells + 2)


def a3c(width: int, actions: int) -> int:
    return (width + 1) * (actions + 1)


SMALL = functools.partial(compose, "env=toy/catch", "network=mlp")
CASES = {
    "mnih2013": (compose("network=mnih2013"), ATARI, 4, MNIH2013_TORSO + a3c(256, 4)),
    "mnih2013_lstm": (compose("network=mnih2013_lstm"), ATARI, 4, MNIH2013_TORSO + lstm(256, 256) + a3c(256, 4)),
    "mnih2015": (compose("network=mnih2015"), ATARI, 4, MNIH2015_TORSO + a3c(512, 4)),
    "mnih2015_lstm": (compose("network=mnih2015_lstm"), ATARI, 18, MNIH2015_TORSO + lstm(512, 256) + a3c(256, 18)),
    "minatar": (compose("env=minatar/breakout"), MINATAR, 3, MINATAR_TORSO + a3c(128, 3)),
    "mlp": (SMALL(), BOARD, 3, MLP_TORSO + a3c(64, 3)),
    "mlp_lstm": (
        SMALL("network.hidden=[64]", "network.lstm_cells=32"), BOARD, 3,
        (30 + 1) * 64 + lstm(64, 32) + a3c(32, 3),
    ),
}  # fmt: skip


def build(name: str, seed: int = 0) -> nn.Module:
    config, space, actions, _ = CASES[name]
    return seeded(config.network, space, {"logits": actions, "value": 1}, seed)


def observations(name: str, steps: int) -> Tensor:
    space = CASES[name][1]
    rng = np.random.default_rng(0)
    if space.dtype == np.uint8:
        return torch.from_numpy(rng.integers(0, int(space.high.max()) + 1, (steps, *space.shape), dtype=np.uint8))
    return torch.from_numpy(rng.random((steps, *space.shape), dtype=np.float32))


def vector(module: nn.Module) -> Tensor:
    out = torch.empty(parameter_count(module))
    flatten(module, out)
    return out


# ---- Sizes and shapes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("mnih2013", 677_429),  # 4,112 + 8,224 + 663,808 + 1,285
        ("mnih2013_lstm", 1_203_765),  # and 526,336
        ("mnih2015", 1_686_693),  # 8,224 + 32,832 + 36,928 + 1,606,144 + 2,565
        ("mnih2015_lstm", 2_477_491),  # 1,684,128 + 788,480 + 4,883
        ("minatar", 132_308),  # 592 + 131,200 + 516
        ("mlp", 6_404),  # 1,984 + 4,160 + 260
        ("mlp_lstm", 14_660),  # 1,984 + 12,544 + 132
    ],
)
def test_number_of_parameters_is_the_one_worked_by_hand(name: str, total: int) -> None:
    assert parameter_count(build(name)) == total == CASES[name][3]


def test_value_methods_have_one_output_for_each_action() -> None:
    module = seeded(CASES["mnih2013"][0].network, ATARI, {"q": 6}, 0)
    assert parameter_count(module) == 4_112 + 8_224 + 663_808 + (256 + 1) * 6
    outputs, state = module(observations("mnih2013", 2), None)
    assert (set(outputs), outputs["q"].shape, state) == ({"q"}, (2, 6), None)


@pytest.mark.parametrize("name", CASES)
def test_outputs_have_a_row_for_each_step_and_a_column_for_each_unit(name: str) -> None:
    module = build(name)
    state = module.initial_state()
    outputs, after = module(observations(name, 3), state)
    assert {head: tuple(output.shape) for head, output in outputs.items()} == {
        "logits": (3, CASES[name][2]), "value": (3, 1),
    }  # fmt: skip
    assert all(torch.isfinite(output).all() for output in outputs.values())
    cells = CASES[name][0].network.lstm_cells
    assert (state is None) == (after is None) == (cells == 0)
    if cells:
        assert state.shape == after.shape == (2, 1, cells)
        assert (state == 0).all()
        assert not torch.equal(after[0], after[1])


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_affects_the_outputs(name: str) -> None:
    module = build(name)
    outputs, _ = module(observations(name, 5), module.initial_state())
    sum(output.square().sum() for output in outputs.values()).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in module.parameters())


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        ("mnih2013", (6, 5)),
        ("mnih2013", (4, 84, 83)),
        ("mnih2015", (4, 10, 10)),
        ("mnih2015", (84, 84)),
        ("minatar", (4, 84, 84)),
    ],
)
def test_observations_of_another_shape_are_refused(network: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="takes observations of shape"):
        CASES[network][0].network.check(gym.spaces.Box(0, 255, shape, np.uint8))


# ---- Torch7's initialisation -----------------------------------------------------------------------------------------


def fan_ins(module: nn.Module) -> list[tuple[str, Tensor, int]]:
    """Each parameter with the number of inputs to the product it belongs to, from the shapes alone."""
    shapes = dict(module.named_parameters())
    found = []
    for name, parameter in shapes.items():
        weight = shapes[name.replace("bias", "weight")]
        found.append((name, parameter.detach(), math.prod(weight.shape[1:])))
    return found


@pytest.mark.parametrize("name", CASES)
def test_weights_and_biases_are_uniform_within_one_over_root_fan_in(name: str) -> None:
    for parameter_name, parameter, fan_in in fan_ins(build(name)):
        bound = 1 / math.sqrt(fan_in)
        assert parameter.abs().max() <= bound * (1 + 1e-6), parameter_name
        n = parameter.numel()
        if n >= 200:
            assert parameter.abs().max() > bound * (1 - 10 / n), parameter_name
            assert abs(parameter.mean()) < 4 * bound / math.sqrt(3 * n), parameter_name
            assert parameter.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.15), parameter_name
        else:
            assert parameter.unique().numel() == n, parameter_name
            assert n < 8 or parameter.abs().max() > bound / 2, parameter_name


def test_parameters_depend_only_on_the_seed() -> None:
    first = vector(build("mnih2013_lstm", 3))
    torch.rand(7)  # other draws do not matter
    assert torch.equal(first, vector(build("mnih2013_lstm", 3)))
    assert (first != vector(build("mnih2013_lstm", 4))).float().mean() > 0.99


def test_initialising_leaves_the_random_state_of_torch_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build("mlp_lstm", 3)
    assert torch.equal(torch.get_rng_state(), before)


# ---- Flat vectors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp_lstm", "minatar"])
def test_writing_the_vector_writes_the_module_at_the_same_addresses(name: str) -> None:
    module = build(name)
    parameters = vector(module)
    before, _ = module(observations(name, 2), module.initial_state())
    view_as_parameters(module, parameters)
    same, _ = module(observations(name, 2), module.initial_state())
    assert torch.equal(before["logits"], same["logits"])

    addresses = [parameter.data_ptr() for parameter in module.parameters()]
    assert addresses[0] == parameters.data_ptr()
    parameters.copy_(vector(build(name, seed=1)))
    assert [parameter.data_ptr() for parameter in module.parameters()] == addresses
    written, _ = module(observations(name, 2), module.initial_state())
    expected, _ = build(name, seed=1)(observations(name, 2), module.initial_state())
    assert torch.equal(written["logits"], expected["logits"])
    assert not torch.equal(written["logits"], before["logits"])
    assert torch.equal(vector(module), parameters)


def test_writing_the_module_writes_the_vector() -> None:
    module = build("mlp")
    parameters = vector(module)
    view_as_parameters(module, parameters)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(2.5)
    assert (parameters == 2.5).all()


def test_gradients_are_summed_into_the_vector_alone() -> None:
    module, reference = build("mlp"), build("mlp")
    parameters, gradient = vector(module), torch.zeros(parameter_count(module))
    view_as_parameters(module, parameters, gradient)
    loss_of = [lambda m: m(observations("mlp", 4), None)[0]["value"].square().sum()]
    loss_of[0](module).backward()
    loss_of[0](reference).backward()
    expected = torch.cat([p.grad.flatten() for p in reference.parameters() if p.grad is not None])
    used = torch.cat([torch.full((p.numel(),), p.grad is not None) for p in reference.parameters()])
    torch.testing.assert_close(gradient[used], expected)
    assert (gradient[~used] == 0).all(), "the policy head has no part in this loss"
    once = gradient.clone()
    loss_of[0](module).backward()
    torch.testing.assert_close(gradient, 2 * once)
    gradient.zero_()
    assert all((parameter.grad == 0).all() for parameter in module.parameters())


def test_a_vector_of_another_length_is_refused() -> None:
    module = build("mlp")
    for length in (parameter_count(module) - 1, parameter_count(module) + 1):
        with pytest.raises((AssertionError, RuntimeError)):
            view_as_parameters(build("mlp"), torch.zeros(length))


# ---- Scale of images -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (gym.spaces.Box(0, 255, (2,), np.uint8), (51 + 102) / 255),
        (gym.spaces.Box(0, 1, (2,), np.uint8), 51 + 102),  # 0 or 1 stays 0 or 1
        (gym.spaces.Box(0.0, 255.0, (2,), np.float32), 51 + 102),  # not an image
    ],
    ids=["image", "bits", "numbers"],
)
def test_only_images_are_scaled_to_one(space: gym.spaces.Box, expected: float) -> None:
    module = seeded(SMALL("network.hidden=[1]").network, space, {"q": 1}, 0)
    view_as_parameters(module, torch.tensor([1.0, 1.0, 0.0, 1.0, 0.0]))  # the sum of the inputs, twice without bias
    outputs, _ = module(torch.tensor([[51, 102]]).to(torch.from_numpy(space.sample()).dtype), None)
    assert outputs["q"].item() == pytest.approx(expected)


# ---- Memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mlp_lstm", "mnih2013_lstm"])
def test_a_sequence_gives_the_outputs_of_single_steps_with_the_state_carried(name: str) -> None:
    module = build(name)
    sequence = observations(name, 6)
    together, last = module(sequence, module.initial_state())
    state = module.initial_state()
    for t in range(6):
        one, state = module(sequence[t : t + 1], state)
        torch.testing.assert_close(one["logits"][0], together["logits"][t])
        torch.testing.assert_close(one["value"][0], together["value"][t])
    torch.testing.assert_close(state, last)
    afresh, _ = module(sequence[5:], module.initial_state())
    assert not torch.allclose(afresh["logits"][0], together["logits"][5]), "the past must matter"


def test_lstm_cells_follow_the_equations() -> None:
    module = build("mlp_lstm")
    x = observations("mlp_lstm", 1)
    state = torch.rand(2, 1, 32, generator=torch.Generator().manual_seed(0))
    outputs, (h_after, c_after) = module(x, state)
    p = {key.rpartition(".")[2] if "lstm" in key else key: value for key, value in module.named_parameters()}
    weights = list(module.parameters())
    features = torch.relu(weights[0] @ x.flatten() + weights[1])
    gates = p["weight_ih_l0"] @ features + p["bias_ih_l0"] + p["weight_hh_l0"] @ state[0, 0] + p["bias_hh_l0"]
    i, f, g, o = gates.split(32)
    c = f.sigmoid() * state[1, 0] + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    torch.testing.assert_close(c_after[0], c)
    torch.testing.assert_close(h_after[0], h)
    torch.testing.assert_close(outputs["value"][0], p["heads.value.weight"] @ h + p["heads.value.bias"])


# ---- Any module with this interface ----------------------------------------------------------------------------------


class Averaging(nn.Module):
    """Without an LSTM or a base class of the project: its state is the sum of all observations."""

    def __init__(self) -> None:
        super().__init__()
        self.q = nn.Linear(2, 3)

    def initial_state(self) -> Tensor | None:
        return torch.zeros(2)

    def forward(self, observations: Tensor, state: Tensor | None = None) -> tuple[Mapping[str, Tensor], Tensor | None]:
        assert state is not None
        sums = state + observations.cumsum(0)
        return {"q": self.q(sums)}, sums[-1]


class Stateless(nn.Module):
    """The minimal interface of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.q = nn.Linear(2, 3, bias=False)

    def initial_state(self) -> None:
        return None

    def forward(self, observations: Tensor, state: None = None) -> tuple[dict[str, Tensor], None]:
        return {"q": self.q(observations)}, None


class SumOfFirst(ValueBased):
    """A method whose loss is the sum of the first action's values."""

    name: str = "sum_of_first"

    @property
    def max_update_steps(self) -> int:
        return 2

    def bootstrap_value(self, outputs: Outputs, next_action: Action | None, actor: Actor) -> float:
        raise NotImplementedError

    def loss(self, outputs: dict[str, Tensor], actions: Tensor, returns: Tensor) -> Tensor:
        return outputs["q"][:, 0].sum()


def test_a_plain_module_without_state_acts_and_learns() -> None:
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    model = ModuleModel(Stateless(), weights, copy=False)
    outputs, state = model.forward(np.array([1.0, 10.0], np.float32), model.initial_state())
    assert (outputs["q"].tolist(), state) == ([21.0, 43.0, 65.0], None)
    assert isinstance(outputs["q"], np.ndarray)
    rollout = [np.array([1.0, 0.0], np.float32), np.array([1.0, 1.0], np.float32)]
    algo = SumOfFirst.model_construct()
    for times in (1, 2):  # gradients are summed until they are cleared
        given = model.rollout_outputs(Rollout(None, 1, rollout, [0, 0]))
        model.backward(algo.autograd_output_gradient(given, np.array([0, 0]), np.zeros(2, np.float32)))
        assert given["q"][:, 0].tolist() == [1.0, 3.0]
        assert model.full_gradient().tolist() == [times * 2.0, times * 1.0, 0.0, 0.0, 0.0, 0.0]
    weights.fill_(0.0)
    assert model.forward(np.ones(2, np.float32), None)[0]["q"].tolist() == [0.0, 0.0, 0.0]


def test_a_plain_module_carries_its_own_kind_of_state() -> None:
    theta = torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.5])
    model = ModuleModel(Averaging(), theta, copy=False)
    state = model.initial_state()
    for seen in (1.0, 3.0, 6.0):
        outputs, state = model.forward(np.array([seen - state[0], 0.0], np.float32), state)
        assert outputs["q"].tolist() == [seen, 0.0, seen + 0.5]
