"""Kernels of the fast networks (`convolutional.py` explains entries and rows).

A convolution has one row per *distinct* patch of its input. While the parameters do not change, an output position
whose patch has not changed since the last state keeps its row, so that only what moved on the screen is computed,
forward and backward. In state 0, a position with the same patch as its left neighbour shares its row, so that the
background is computed once per line. `row_of[t, p]` is the row of position p in state t; the new rows of state t are
counts[t] to counts[t + 1].

Where several actor-learners act together, each has a *lane* and t counts their steps; the positions of the lanes are
concatenated, and stacked vertically in `changed`. Weights are then read once for all lanes.
"""

# The kernels have signatures instead of annotations.
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

import numpy as np
from numba import boolean, float32, float64, int64, void

from a3crepro.common.kernels import inner, kernel
from a3crepro.models.fast.structs import F1, F2, F3, U3, Cells, Heads, Pixels, Top, Torso

IMAGES = (U3, F3)
"""Images [channels, height, width]: pixels, or normalised floats."""


@inner()
def copy(source, target):
    """target = source."""
    for i in range(source.size):
        target[i] = source[i]


@inner()
def mark_changes(now, before, size, changed):
    """changed[y, x] = whether any pixel of a block of size x size differs in any channel; then before = now."""
    width = now.shape[2]
    difference = np.empty(width, np.uint8)
    for y in range(changed.shape[0]):
        for x in range(width):
            difference[x] = 0
        for channel in range(now.shape[0]):
            for line in range(y * size, (y + 1) * size):
                for x in range(width):
                    difference[x] |= now[channel, line, x] != before[channel, line, x]
                    before[channel, line, x] = now[channel, line, x]
        for x in range(changed.shape[1]):
            changed[y, x] = 0
            for i in range(size):
                changed[y, x] |= difference[x * size + i] != 0


@inner()
def mark_repeats(now, size, repeats):
    """repeats[y, x] = whether the block of size x size at (y, x) equals the one on its left in all channels."""
    width = now.shape[2]
    difference = np.empty(width, np.uint8)
    for y in range(repeats.shape[0]):
        for x in range(width):
            difference[x] = 0
        for channel in range(now.shape[0]):
            for line in range(y * size, (y + 1) * size):
                left, right = now[channel, line, : width - size], now[channel, line, size:]
                for x in range(width - size):
                    difference[x] |= left[x] != right[x]
        repeats[y, 0] = 0
        for x in range(1, repeats.shape[1]):
            repeats[y, x] = 1
            for i in range(size):
                repeats[y, x] &= difference[(x - 1) * size + i] == 0


@inner()
def block_to_row(now, top, left, size, scale, row):
    """One block of pixels [channels, height, width] as a row of floats."""
    i = 0
    for channel in range(now.shape[0]):
        for y in range(top, top + size):
            for x in range(left, left + size):
                row[i] = now[channel, y, x] * scale
                i += 1


@kernel(*(void(int64, int64, P, P, float32, Pixels.type) for P in IMAGES))
def observe(t, lane, now, before, scale, pixels):
    """Cuts an image into blocks; a block that changed gets a new row of floats.

    In state 0, row p holds block p (counted over all lanes), and `row_of` refers to the leftmost of equal neighbours.
    counts[t + 1] increases from lane to lane.
    """
    row_of, counts, changed, rows = pixels.rows.row_of, pixels.rows.counts, pixels.rows.changed, pixels.rows.values
    latest, size, width = pixels.latest, pixels.block, changed.shape[1]
    marks, repeats = changed[lane * width : (lane + 1) * width], np.zeros((width, width), np.uint8)
    mark_changes(now, before, size, marks)
    if t == 0:
        mark_repeats(now, size, repeats)
    row, first = counts[t] if lane == 0 else counts[t + 1], lane * width * width
    for p in range(first, first + width * width):
        y, x = (p - first) // width, (p - first) % width
        if t == 0:
            row = p
        if marks[y, x]:
            block_to_row(now, y * size, x * size, size, scale, rows[row])
            latest[p] = row
            row += 1
        elif t == 0 and latest[p] != p:
            copy(rows[latest[p]], rows[p])
            latest[p] = p
        row_of[t, p] = row_of[t, p - 1] if repeats[y, x] else latest[p]
    if t == 0:
        for p in range(width * width):
            marks[p // width, p % width] = 1
        row = first + width * width
    counts[t + 1] = row


@inner()
def window_changed(changed, top, left, size):
    """Whether anything in a window of size x size changed."""
    for y in range(top, top + size):
        for x in range(left, left + size):
            if changed[y, x]:
                return True
    return False


@inner()
def window_repeats(rows, corner, width, size, stride):
    """Whether a window of size x size in lines of `width` positions has the rows of the window on its left."""
    for y in range(size):
        for p in range(corner + y * width, corner + y * width + size):
            if rows[p] != rows[p - stride]:
                return False
    return True


@inner()
def clear(array):
    """array [rows, n] = 0."""
    for r in range(array.shape[0]):
        for i in range(array.shape[1]):
            array[r, i] = 0


@inner()
def transposed(a):
    """A copy of aᵀ."""
    result = np.empty((a.shape[1], a.shape[0]), a.dtype)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            result[j, i] = a[i, j]
    return result


@inner()
def add_multiple(factor, source, target):
    """target += factor · source."""
    for i in range(source.size):
        target[i] += factor * source[i]


@inner(fastmath=False)
def find_nonzero(x, found):
    """Sets `found` to the indices of elements that are not 0, and returns their number.

    Those that are not a number count, which fastmath would exclude.
    """
    n = 0
    for i in range(x.size):
        if x[i] != 0:
            found[n] = i
            n += 1
    return n


@inner()
def sparse_product(x, a, y):
    """y = x a, without the elements of x that are 0; four rows of `a` at a time."""
    found = np.empty(x.shape[1], np.int64)
    for row in range(len(x)):
        x_row, to = x[row], y[row]
        n = find_nonzero(x_row, found)
        for i in range(to.size):
            to[i] = 0
        fours = n // 4 * 4
        for k in range(0, fours, 4):
            j0, j1, j2, j3 = found[k], found[k + 1], found[k + 2], found[k + 3]
            a0, a1, a2, a3, x0, x1, x2, x3 = a[j0], a[j1], a[j2], a[j3], x_row[j0], x_row[j1], x_row[j2], x_row[j3]
            for i in range(to.size):
                to[i] += x0 * a0[i] + x1 * a1[i] + x2 * a2[i] + x3 * a3[i]
        for k in range(fours, n):
            add_multiple(x_row[found[k]], a[found[k]], to)


@inner()
def assign_rows(t, convolution):
    """Assigns a new row to each position whose window changed; other positions keep their row of state t - 1.

    In state 0, a position gets a new row if its window differs from the one on its left.
    """
    row_of_below, changed_below = convolution.below.row_of, convolution.below.changed
    row_of, counts, changed = convolution.rows.row_of, convolution.rows.counts, convolution.rows.changed
    size, stride = convolution.size, convolution.stride
    row, (height, width), width_in = counts[t], changed.shape, changed_below.shape[1]
    for y in range(height):
        top = (y // width) * width_in + (y % width) * stride
        for x in range(width):
            p = y * width + x
            changed[y, x] = t == 0 or window_changed(changed_below, top, x * stride, size)
            if not changed[y, x]:
                row_of[t, p] = row_of[t - 1, p]
            elif (
                t == 0
                and x > 0
                and window_repeats(row_of_below[0], top * width_in + x * stride, width_in, size, stride)
            ):
                row_of[t, p] = row - 1
            else:
                row_of[t, p] = row
                row += 1
    counts[t + 1] = row


@inner()
def convolve(t, convolution):
    """The new rows of state t: patches @ weight + bias, rectified or not."""
    assign_rows(t, convolution)
    row_of_below, values_below = convolution.below.row_of, convolution.below.values
    row_of, counts, values = convolution.rows.row_of, convolution.rows.counts, convolution.rows.values
    source, patches, bias = convolution.source, convolution.patches, convolution.bias
    size, stride, channels = convolution.size, convolution.stride, values_below.shape[1]
    width_in, width = convolution.below.changed.shape[1], convolution.rows.changed.shape[1]
    first, last = counts[t], counts[t + 1]
    row = first
    for p in range(row_of.shape[1]):
        if row_of[t, p] != row:
            continue  # the row belongs to another position or state
        lane, y, x = p // (width * width), p // width % width, p % width
        corner = (lane * width_in + y * stride) * width_in + x * stride
        for k in range(size * size):
            r = row_of_below[t, corner + (k // size) * width_in + k % size]
            source[row, k] = r
            copy(values_below[r], patches[row, k * channels : (k + 1) * channels])
        row += 1
    np.dot(patches[first:last], convolution.weight.T, values[first:last])
    for r in range(first, last):
        for c in range(bias.size):
            values[r, c] = max(values[r, c] + bias[c], convolution.lowest)


@kernel(void(F2, F2, float32, F1))
def rectify_gradient(d_rows, rows, lowest, d_bias):
    """Sets the gradient to 0 where the rows are at their lowest value, and adds it to that of the bias."""
    for r in range(d_rows.shape[0]):
        for c in range(d_rows.shape[1]):
            if rows[r, c] <= lowest:
                d_rows[r, c] = 0
            d_bias[c] += d_rows[r, c]


@inner()
def used_rows(first, steps, rows):
    """From the oldest row that states use to the latest; other states may use some in between."""
    row_of = rows.row_of
    oldest = row_of[first, 0]
    for p in range(1, row_of.shape[1]):
        oldest = min(oldest, row_of[first, p])
    return oldest, rows.counts[first + steps]


@inner()
def convolve_backward(first, steps, convolution, is_lowest, d_parameters):
    """Backward pass for the states from `first` on, given the gradient of the rows.

    Adds to the flat gradient d_parameters and, but for the lowest layer, sets that of the rows below.
    """
    below, start, order = convolution.below, convolution.start, convolution.order
    patches, d_weight = convolution.patches, convolution.d_weight
    begin, end = used_rows(first, steps, convolution.rows)
    d_rows, values = convolution.rows.d_values[begin:end], convolution.rows.values[begin:end]
    d_bias = d_parameters[start + order.size : start + order.size + values.shape[1]]
    rectify_gradient(d_rows, values, convolution.lowest, d_bias)
    sparse_product(transposed(d_rows), patches[begin:end], d_weight)
    flat = d_weight.reshape(-1)
    for i in range(flat.size):
        d_parameters[start + order[i]] += flat[i]
    if is_lowest:
        return
    begin_below, end_below = used_rows(first, steps, below)
    d_below, source, d_patches = below.d_values, convolution.source, convolution.d_patches[begin:end]
    clear(d_below[begin_below:end_below])
    sparse_product(d_rows, convolution.weight, d_patches)
    channels, one = d_below.shape[1], np.float32(1)
    for r in range(end - begin):
        for k in range(source.shape[1]):
            add_multiple(one, d_patches[r, k * channels : (k + 1) * channels], d_below[source[begin + r, k]])


@inner()
def take(source, order, target):
    """target = source[order]."""
    for i in range(order.size):
        target[i] = source[order[i]]


@kernel(void(F1, Top.type))
def copy_of_top(parameters, top):
    """Copies the parameters of the heads and the biases of the cells from the flat parameters."""
    take(parameters, top.heads.order, top.heads.parameters)
    if top.has_cells:
        biases = top.cells.biases.reshape(-1)
        copy(parameters[top.cells.start : top.cells.start + biases.size], biases)


@kernel(void(F1, Torso.type, Top.type))
def copy_small(parameters, torso, top):
    """Copies all but the large weights from the flat parameters."""
    copy_of_top(parameters, top)
    for layer in range(torso.depth):
        convolution = torso.convolutions[layer]
        bias, end = convolution.bias, convolution.start + convolution.order.size
        take(parameters[convolution.start : end], convolution.order, convolution.weight.reshape(-1))
        copy(parameters[end : end + bias.size], bias)
    copy(parameters[torso.start : torso.start + torso.bias.size], torso.bias)


@inner()
def find_differences(t, lane, torso, differences, runs):
    """The inputs of the linear layer minus those of state t - 1 (or, in state 0, 0), where they differ.

    Sets differences [n] within the first `count` runs, each from runs[i, 0] to runs[i, 1], and returns the count.
    """
    rows = torso.convolutions[torso.depth - 1].rows
    row_of, values, changed = rows.row_of, rows.values, rows.changed.reshape(-1)
    channels, count, end = values.shape[1], 0, -1
    positions = differences.size // channels
    for p in range(positions):
        position, begin, total = lane * positions + p, p * channels, np.float32(0)
        if not changed[position]:
            continue
        now = values[row_of[t, position]]
        for c in range(channels):
            differences[begin + c] = now[c]
            total += abs(now[c])
        if t > 0:
            before, total = values[row_of[t - 1, position]], np.float32(0)
            for c in range(channels):
                differences[begin + c] -= before[c]
                total += abs(differences[begin + c])
        if total > 0:
            if begin != end:
                runs[count, 0] = begin
                count += 1
            end = runs[count - 1, 1] = begin + channels
    return count


@inner()
def dense(t, torso):
    """The linear layer: adds the contribution of what has changed to the sums of state t - 1; sets its outputs.

    Four rows of the weight at a time, each read once for all lanes.
    """
    weight, bias, sums, features = torso.weight, torso.bias, torso.sums, torso.features
    lanes, units, n = sums.shape[1], bias.size, weight.shape[1]
    differences, counts = np.empty((lanes, n), np.float32), np.empty(lanes, np.int64)
    # Unsigned indices need no test for negative ones, so that loops vectorise.
    runs = np.empty((lanes, n, 2), np.uint64)
    for lane in range(lanes):
        counts[lane] = find_differences(t, lane, torso, differences[lane], runs[lane])
    for u in range(0, units, 4):
        u1, u2, u3 = min(u + 1, units - 1), min(u + 2, units - 1), min(u + 3, units - 1)
        w0, w1, w2, w3 = weight[u], weight[u1], weight[u2], weight[u3]
        for lane in range(lanes):
            d = differences[lane]
            y0 = y1 = y2 = y3 = np.float32(0)
            for r in range(counts[lane]):
                for i in range(runs[lane, r, 0], runs[lane, r, 1]):
                    y0 += w0[i] * d[i]
                    y1 += w1[i] * d[i]
                    y2 += w2[i] * d[i]
                    y3 += w3[i] * d[i]
            now, before = sums[t, lane], bias if t == 0 else sums[t - 1, lane]
            now[u3], now[u2], now[u1], now[u] = before[u3] + y3, before[u2] + y2, before[u1] + y1, before[u] + y0
    for lane in range(lanes):
        for u in range(units):
            features[t, lane, u] = max(sums[t, lane, u], torso.lowest)


@kernel(void(F2, boolean[::1], F2))
def copy_rows(weight, changed, target):
    """Copies the changed rows of a weight."""
    for row in range(len(weight)):
        if changed[row]:
            copy(weight[row], target[row])


@inner(fastmath=False)
def units_with_gradient(delta):
    """The units whose delta is not 0 in some state; the last one is repeated to a multiple of four.

    Units where it is not a number count, which fastmath would exclude.
    """
    units, n = np.empty(delta.shape[1] + 3, np.int64), 0
    for unit in range(delta.shape[1]):
        for state in range(delta.shape[0]):
            if delta[state, unit] != 0:
                units[n] = unit
                n += 1
                break
    fours = (n + 3) // 4 * 4
    units[n:fours] = units[n - 1]
    return units[:fours]


@inner()
def find_moving(index, channels, moving, runs):
    """Marks the positions whose row differs between states; index [T, positions].

    Returns the number of runs of inputs of the linear layer that hold them, each from runs[i, 0] to runs[i, 1].
    """
    count, end = 0, -1
    for p in range(index.shape[1]):
        moving[p] = False
        for t in range(1, len(index)):
            moving[p] |= index[t, p] != index[0, p]
        if moving[p]:
            if p != end:
                runs[count, 0] = p * channels
                count += 1
            end = p + 1
            runs[count - 1, 1] = end * channels
    return count


@inner()
def times_rows(x, units, weight, runs, y):
    """y += x weight[units], within some runs of y; x is [m, units], y [m, n].

    Four units at a time, whose rows are read once for all of x. The last four may repeat one, with 0 in x.
    """
    for four in range(0, units.size, 4):
        w0, w1, w2, w3 = (
            weight[units[four]], weight[units[four + 1]], weight[units[four + 2]], weight[units[four + 3]],
        )  # fmt: skip
        for m in range(len(x)):
            x0, x1, x2, x3, to = x[m, four], x[m, four + 1], x[m, four + 2], x[m, four + 3], y[m]
            for r in range(len(runs)):
                for i in range(runs[r, 0], runs[r, 1]):
                    to[i] += x0 * w0[i] + x1 * w1[i] + x2 * w2[i] + x3 * w3[i]


@inner()
def dense_backward(index, delta, weight, d_rows):
    """Adds to the gradient of the last convolution's rows, given that of the linear layer's sums; for one lane.

    Args:
      index: the row of each position, [T, positions].
      delta: ∂loss/∂sums, [T, units]; units whose delta is 0 in all states, most of them, are left out.
      weight: [units, positions * channels].
      d_rows: [rows, channels]. Where all states have the same row, delta is summed before it is multiplied.
    """
    (steps, positions), channels, units = index.shape, d_rows.shape[1], units_with_gradient(delta)
    x, total = np.zeros((steps, units.size), np.float32), np.zeros((1, units.size), np.float32)
    for i in range(units.size):
        for t in range(steps if i == 0 or units[i] != units[i - 1] else 0):
            x[t, i] = delta[t, units[i]]
            total[0, i] += x[t, i]
    moving, runs = np.empty(positions, np.bool_), np.empty((positions, 2), np.uint64)
    count = find_moving(index, channels, moving, runs)
    everything = np.zeros((1, 2), np.uint64)
    everything[0, 1] = positions * channels
    still, each = np.zeros((1, weight.shape[1]), np.float32), np.zeros((steps, weight.shape[1]), np.float32)
    times_rows(total, units, weight, everything, still)
    times_rows(x, units, weight, runs[:count], each)
    for p in range(positions):
        for t in range(steps if moving[p] else 1):
            d, source = d_rows[index[t, p]], (each[t] if moving[p] else still[0])[p * channels : (p + 1) * channels]
            add_multiple(np.float32(1), source, d)


@inner()
def gather_states(index, rows, states):
    """The linear layer's inputs [T * lanes, positions * channels] from rows; index [T, lanes * positions]."""
    channels = rows.shape[1]
    positions = states.shape[1] // channels
    lanes = index.shape[1] // positions
    for state in range(states.shape[0]):
        t, first = state // lanes, state % lanes * positions
        for p in range(positions):
            copy(rows[index[t, first + p]], states[state, p * channels : (p + 1) * channels])


@kernel(void(int64, int64, Torso.type, F2, F2, F1))
def torso_backward(first, steps, torso, delta, inputs, d_parameters):
    """Backward pass for the states from `first` on.

    Args:
      first: number of the first state.
      steps: T.
      torso: of the network.
      delta: ∂loss/∂features, [T * lanes, units]; becomes that of the sums.
      inputs: receives the inputs of the linear layer, [T * lanes, n].
      d_parameters: the flat gradient, which those of convolutions and biases are added to.
    """
    rows = torso.convolutions[torso.depth - 1].rows
    index = rows.row_of[first : first + steps]
    features = torso.features[first : first + steps].reshape(delta.shape)
    rectify_gradient(delta, features, torso.lowest, d_parameters[torso.start : torso.start + torso.bias.size])
    gather_states(index, rows.values, inputs)
    begin, end = used_rows(first, steps, rows)
    clear(rows.d_values[begin:end])
    lanes, positions = torso.sums.shape[1], torso.weight.shape[1] // rows.values.shape[1]
    for lane in range(lanes):
        now = index[:, lane * positions : (lane + 1) * positions]
        dense_backward(now, delta[lane::lanes], torso.weight, rows.d_values)
    for layer in range(torso.depth - 1, -1, -1):
        convolve_backward(first, steps, torso.convolutions[layer], layer == 0, d_parameters)


@kernel(void(F2, F2, F1))
def add_outer(delta, inputs, d_weight):
    """d_weight (flat) += deltaᵀ inputs."""
    width = inputs.shape[1]
    for o in range(delta.shape[1]):
        row = d_weight[o * width : (o + 1) * width]
        for t in range(delta.shape[0]):
            if delta[t, o] != 0:
                add_multiple(delta[t, o], inputs[t], row)


@kernel(float64(F2, F2))
def outer_square_norm(delta, inputs):
    """Squared norm of deltaᵀ inputs, from two Gram matrices."""
    total = 0.0
    for s in range(delta.shape[0]):
        for t in range(s + 1):
            product = np.dot(delta[s], delta[t]) * np.dot(inputs[s], inputs[t])
            total += product if s == t else 2 * product
    return total


@kernel(float64(F1, int64[:, ::1]))
def square_norm(vector, slices):
    """Squared L2 norm of these slices [n, 2] of a vector."""
    total = 0.0
    for s in range(len(slices)):
        part = vector[slices[s, 0] : slices[s, 1]]
        total += np.dot(part, part)
    return total


@inner()
def tanh(x):
    """tanh to the precision of float32, as Eigen's rational function of x (`ptanh_float`), which vectorises."""
    x = min(max(x, np.float32(-7.90531110763549805)), np.float32(7.90531110763549805))
    square = x * x
    p = np.float32(-2.76076847742355e-16)
    for alpha in (2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08, 1.48572235717979e-05,
                  6.37261928875436e-04, 4.89352455891786e-03):  # fmt: skip
        p = p * square + np.float32(alpha)
    q = np.float32(1.19825839466702e-06)
    for beta in (1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03):
        q = q * square + np.float32(beta)
    return x * p / q


@inner()
def sigmoid(x):
    """The logistic function, without an exponential, which could overflow: fastmath excludes that."""
    return np.float32(0.5) * tanh(np.float32(0.5) * x) + np.float32(0.5)


@inner()
def times_transposed(x, weight, y):
    """y = x weightᵀ; BLAS is faster for a single vector x."""
    if len(x) == 1:
        np.dot(weight, x[0], y[0])
    else:
        np.dot(x, weight.T, y)


@inner()
def times(x, weight, y):
    """y = x weight."""
    if len(x) == 1:
        np.dot(x[0], weight, y[0])
    else:
        np.dot(x, weight, y)


@inner()
def lstm_step(t, cells, x, h_next):
    """One step of nn.LSTM in each lane, from x or W_x x + b_x [lanes, n]; also sets h_next [lanes, units]."""
    lanes, units = h_next.shape
    one, h = np.float32(1), np.empty((lanes, units), np.float32)
    for lane in range(lanes):
        copy(cells.before[t, lane, 0], h[lane])
    from_x, from_h = np.empty((lanes, 4 * units), np.float32), np.empty((lanes, 4 * units), np.float32)
    if cells.weight_x.size:
        times_transposed(x, cells.weight_x, from_x)
    else:
        copy(x.reshape(-1), from_x.reshape(-1))
    times_transposed(h, cells.weight_h, from_h)
    for lane in range(lanes):
        z, gates, after, c = from_x[lane], cells.gates[t, lane], cells.after[t, lane], cells.before[t, lane, 1]
        add_multiple(one, from_h[lane], z)
        for b in range(len(cells.biases)):
            add_multiple(one, cells.biases[b], z)
        for k in range(4):
            gate, z_k = gates[k], z[k * units : (k + 1) * units]
            for u in range(units):
                gate[u] = tanh(z_k[u]) if k == 2 else sigmoid(z_k[u])
        i, f, g, o, h_now, c_now = gates[0], gates[1], gates[2], gates[3], after[0], after[1]
        for u in range(units):
            c_now[u] = f[u] * c[u] + i[u] * g[u]
            h_now[u] = o[u] * tanh(c_now[u])
        copy(h_now, h_next[lane])


@kernel(void(int64, Cells.type, F3, F2, F2, F1))
def lstm_backward(first, cells, d_h, delta, d_x, d_biases):
    """Backpropagation through time from state `first` on.

    Args:
      first: number of the first state.
      cells: of the network.
      d_h: ∂loss/∂h of each state by its heads, [T, lanes, units]; that by later states is added.
      delta: receives ∂loss/∂ the sums of the gates, [T * lanes, 4 * units].
      d_x: receives ∂loss/∂x, [T * lanes, n]; unused if the torso computes W_x x.
      d_biases: ∂loss/∂biases, flat, which is added to.
    """
    steps, lanes, units = d_h.shape
    d_c, from_after = np.zeros((lanes, units), np.float32), np.empty((lanes, units), np.float32)
    one = np.float32(1)
    for t in range(steps - 1, -1, -1):
        for lane in range(lanes):
            now, gates = first + t, cells.gates[first + t, lane]
            c, c_now = cells.before[now, lane, 1], cells.after[now, lane, 1]
            i, f, g, o, d, d_now = gates[0], gates[1], gates[2], gates[3], d_h[t, lane], d_c[lane]
            row = delta[t * lanes + lane]
            d_i, d_f, d_g, d_o = row[:units], row[units : 2 * units], row[2 * units : 3 * units], row[3 * units :]
            for u in range(units):
                tanh_c = tanh(c_now[u])
                into = d_now[u] + d[u] * o[u] * (one - tanh_c * tanh_c)
                d_i[u] = into * g[u] * i[u] * (one - i[u])
                d_f[u] = into * c[u] * f[u] * (one - f[u])
                d_g[u] = into * i[u] * (one - g[u] * g[u])
                d_o[u] = d[u] * tanh_c * o[u] * (one - o[u])
                d_now[u] = into * f[u]
        if t > 0:
            times(delta[t * lanes : (t + 1) * lanes], cells.weight_h, from_after)
            for lane in range(lanes):
                add_multiple(one, from_after[lane], d_h[t - 1, lane])
    if cells.weight_x.size:
        np.dot(delta, cells.weight_x, d_x)
    for r in range(len(delta)):
        for b in range(0, d_biases.size, 4 * units):
            add_multiple(one, delta[r], d_biases[b : b + 4 * units])


@kernel(void(F2, F2, F1, F2))
def rectified_linear(weight, x, bias, out):
    """out = max(x weightᵀ + bias, 0)."""
    times_transposed(x, weight, out)
    for lane in range(x.shape[0]):
        for o in range(bias.size):
            out[lane, o] = max(out[lane, o] + bias[o], np.float32(0))


@inner()
def heads_forward(heads, x, outputs):
    """outputs = x weightᵀ + bias."""
    weight, bias = heads.weight, heads.bias
    for lane in range(x.shape[0]):
        for o in range(bias.size):
            total = bias[o]
            for i in range(x.shape[1]):
                total += weight[o, i] * x[lane, i]
            outputs[lane, o] = total


@kernel(void(Heads.type, F2, F2, F1, F2))
def heads_backward(heads, delta, x, d_parameters, d_x):
    """Backward pass of the heads: sets d_x, and adds to the flat gradient d_parameters.

    Args:
      heads: of the network.
      delta: ∂loss/∂outputs, [rows, outputs].
      x: [rows, n].
      d_parameters: the flat gradient of all parameters.
      d_x: [rows, n].
    """
    weight, order = heads.weight, heads.order
    outputs, n = weight.shape
    clear(d_x)
    for r in range(len(x)):
        for o in range(outputs):
            first = order[o * n]
            d_parameters[order[outputs * n + o]] += delta[r, o]
            add_multiple(delta[r, o], x[r], d_parameters[first : first + n])
            add_multiple(delta[r, o], weight[o], d_x[r])


@kernel(void(int64, Top.type, F2, F2))
def top_forward(t, top, features, outputs):
    """Outputs [lanes, width] for features [lanes, n]."""
    if top.has_cells:
        h_next = np.empty((len(features), top.cells.before.shape[3]), np.float32)
        lstm_step(t, top.cells, features, h_next)
        heads_forward(top.heads, h_next, outputs)
    else:
        heads_forward(top.heads, features, outputs)


@kernel(void(int64, Torso.type, Top.type, F3))
def forward(t, torso, top, outputs):
    """The outputs of state t [lanes, width], after `observe`."""
    for layer in range(torso.depth):
        convolve(t, torso.convolutions[layer])
    dense(t, torso)
    top_forward(t, top, torso.features[t], outputs[t])
