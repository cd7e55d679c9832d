"""What kernels take as one argument: a struct costs a call as much as one array; its arrays, one by one, much more."""

# Numba's classes are not typed.
# mypy: disable-error-code="no-untyped-call,misc"

from typing import TYPE_CHECKING, Any, ClassVar, Self

from numba import boolean, float32, int32, int64, types, uint8, uint64
from numba.experimental import structref

from a3crepro.common.kernels import kernel

F1, F2, F3, F4 = float32[::1], float32[:, ::1], float32[:, :, ::1], float32[:, :, :, ::1]
I1, I2, N2 = int32[::1], int32[:, ::1], uint64[:, ::1]
U2, U3 = uint8[:, ::1], uint8[:, :, ::1]


class Struct(structref.StructRefProxy):
    """Arrays, numbers and other structs, by name; do not assign to them."""

    type: ClassVar[Any]
    """Numba type of the struct, for signatures of kernels."""
    make: ClassVar[Any]

    def __new__(cls, **fields: Any) -> Self:
        struct: Self = cls.make(tuple(fields.values()))
        vars(struct).update(fields)
        return struct

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


# Numba's cache refers to the types by name, and to all of them in one file: they must be there before the first struct.
for name in ("Rows", "Pixels", "Convolution", "Torso", "Cells", "Heads", "Top"):
    globals()[f"{name}Type"] = type(f"{name}Type", (types.StructRef,), {"__module__": __name__})


def define(struct: type[Struct], **fields: Any) -> None:
    """Gives a struct its fields, each with a type."""
    numba_type = globals()[f"{struct.__name__}Type"]
    structref.register(numba_type)
    structref.define_constructor(struct, numba_type, list(fields))
    structref.define_boxing(numba_type, struct)
    struct.type = numba_type(list(fields.items()))

    def make(values):  # type: ignore[no-untyped-def]
        return struct(*values)

    struct.make = staticmethod(kernel(struct.type(types.Tuple(tuple(fields.values()))))(make))


class Rows(Struct):
    """The rows of one layer, and the row of each position in each state.

    row_of: the row of each position, [states, lanes * side²].
    counts: counts[t] to counts[t + 1] are the new rows of state t, [states + 1].
    changed: whether a position's patch has changed since the last state, [lanes * side, side].
    values: [rows, channels].
    d_values: their gradient; valid for the rows of a rollout during its backward pass.
    """


define(Rows, row_of=I2, counts=I1, changed=U2, values=F2, d_values=F2)


class Pixels(Struct):
    """Observations, cut into blocks.

    rows: one per distinct block, of floats.
    latest: the row of each block in the latest state, also across rollouts, [blocks].
    block: width of a block, in pixels.
    """


define(Pixels, rows=Rows.type, latest=I1, block=int64)


class Convolution(Struct):
    """A convolution, rectified or not.

    below, rows: of the layer below, and its own.
    weight: [channels, width of a patch].
    bias: [channels].
    start: where the flat parameters have its weight, then its bias.
    order: where PyTorch's weight, flat, has each element of this one.
    source: the rows of the layer below that make up each patch, [rows, size²].
    patches, d_patches: [rows, width of a patch].
    d_weight: [channels, width of a patch].
    size, stride: of the window, in positions of the layer below.
    lowest: the lowest output, 0 if it is rectified.
    """


define(
    Convolution, below=Rows.type, rows=Rows.type, weight=F2, bias=F1, start=int64, order=I1, source=I2,
    patches=F2, d_patches=F2, d_weight=F2, size=int64, stride=int64,
    lowest=float32,
)  # fmt: skip

MAX_DEPTH = 4
"""Maximum number of convolutions."""


class Torso(Struct):
    """Convolutions over blocks of pixels, and a linear layer, which may be that of LSTM cells.

    pixels: the observations.
    convolutions: the first `depth` are used.
    weight: of the linear layer, [units, positions * channels].
    bias: its bias, [units].
    start: where the flat parameters have its bias.
    sums: its pre-activations, [states, lanes, units].
    features: its outputs, [states, lanes, units].
    lowest: the lowest output, 0 if it is rectified.
    """


define(
    Torso, pixels=Pixels.type, convolutions=types.UniTuple(Convolution.type, MAX_DEPTH), depth=int64,
    weight=F2, bias=F1, start=int64, sums=F3, features=F3, lowest=float32,
)  # fmt: skip


class Cells(Struct):
    """LSTM cells, with the recurrent states before and after each state of the environment.

    weight_x: [4 * cells, n]; n = 0 if the torso's linear layer is W_x x + b_x.
    weight_h: [4 * cells, cells].
    biases: b_x and b_h, or b_h alone, [2 or 1, 4 * cells].
    start: where the flat parameters have the biases.
    gates: i, f, g, o after their nonlinearities, [states, lanes, 4, cells].
    before, after: h and c, [states, lanes, 2, cells].
    """


define(
    Cells, weight_x=F2, weight_h=F2, biases=F2, start=int64, gates=F4, before=F4, after=F4
)  # fmt: skip


class Heads(Struct):
    """Linear heads with the same input, as one matrix.

    weight: [outputs, n].
    bias: [outputs].
    parameters: both, flat.
    order: where the flat parameters of the network have each element of these.
    """


define(Heads, weight=F2, bias=F1, parameters=F1, order=I1)


class Top(Struct):
    """What follows a torso: cells, if `has_cells`, and heads."""


define(Top, has_cells=boolean, cells=Cells.type, heads=Heads.type)
