"""Compiled loops of the fast networks (`network.py` says what each is for).

A convolution keeps one row per *distinct* patch of its input. While the parameters stand still, an output position
whose patch did not change since the state before keeps its row, so only what moved on the screen is computed, forward
and backward. `index[t, p]` is the row of position p in state t; state t's new rows are counts[t] to counts[t + 1].
"""

# The loops are compiled: annotations would say nothing that the signatures do not.
# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

import numpy as np

from a3crepro.kernels import kernel

F1, F2, F3 = "float32[::1]", "float32[:,::1]", "float32[:,:,::1]"
I1, I2 = "int32[::1]", "int32[:,::1]"
U2, U3 = "uint8[:,::1]", "uint8[:,:,::1]"


@kernel(f"void({U3}, {U3}, int64, {U2})")
def mark_changes(now, before, size, changed):
    """changed[y, x] = whether any pixel of the block of size x size differs in any channel; then before = now."""
    width = now.shape[2]
    difference = np.empty(width, np.uint8)
    for y in range(changed.shape[0]):
        difference[:] = 0
        for channel in range(now.shape[0]):
            for line in range(y * size, (y + 1) * size):
                for x in range(width):
                    difference[x] |= now[channel, line, x] ^ before[channel, line, x]
                    before[channel, line, x] = now[channel, line, x]
        for x in range(changed.shape[1]):
            changed[y, x] = 0
            for i in range(size):
                changed[y, x] |= difference[x * size + i] != 0


@kernel(f"void({U3}, int64, int64, int64, float32, {F1})")
def block_to_row(now, top, left, size, scale, row):
    """One block of pixels [channels, height, width] as a row of floats."""
    i = 0
    for channel in range(now.shape[0]):
        for y in range(top, top + size):
            for x in range(left, left + size):
                row[i] = now[channel, y, x] * scale
                i += 1


@kernel(f"void(int64, {U3}, {U3}, int64, float32, {I2}, {I1}, {I1}, {U2}, {F2})")
def observe(t, now, before, size, scale, index, latest, counts, changed, rows):
    """Cuts pixels [channels, height, width] into blocks of size x size; a block that changed gets a new row of floats.

    latest holds the rows of the state before, also across rollouts; state 0 has block p in row p.
    """
    mark_changes(now, before, size, changed)
    row, width = counts[t], changed.shape[1]
    for p in range(latest.size):
        y, x = p // width, p % width
        if t == 0:
            row = p
        if changed[y, x]:
            block_to_row(now, y * size, x * size, size, scale, rows[row])
            latest[p] = row
            row += 1
        elif t == 0 and latest[p] != p:
            rows[p] = rows[latest[p]]
            latest[p] = p
        index[t, p] = latest[p]
    if t == 0:
        changed[:] = 1
        row = latest.size
    counts[t + 1] = row


@kernel(f"boolean({U2}, int64, int64, int64)")
def window_changed(changed, top, left, size):
    """Whether anything in a window of size x size changed."""
    for y in range(top, top + size):
        for x in range(left, left + size):
            if changed[y, x]:
                return True
    return False


@kernel(f"void(int64, {U2}, int64, int64, {I2}, {I1}, {U2})")
def assign_rows(t, changed_in, size, stride, index, counts, changed):
    """A position whose window changed gets a new row, any other keeps its row of state t - 1."""
    row, height, width = counts[t], changed.shape[0], changed.shape[1]
    for y in range(height):
        for x in range(width):
            p = y * width + x
            changed[y, x] = t == 0 or window_changed(changed_in, y * stride, x * stride, size)
            if changed[y, x]:
                index[t, p] = row
                row += 1
            else:
                index[t, p] = index[t - 1, p]
    counts[t + 1] = row


@kernel(f"void(int64, {U2}, {I2}, {F2}, int64, int64, {F2}, {F1}, {I2}, {I1}, {U2}, {I2}, {F2}, {F2})")
def convolve(
    t, changed_in, index_in, rows_in, size, stride, weight, bias, index, counts, changed, source, patches, rows
):
    """The new rows of state t: patches @ weight + bias, rectified."""
    assign_rows(t, changed_in, size, stride, index, counts, changed)
    first, last = counts[t], counts[t + 1]
    width_in, width, channels = changed_in.shape[1], changed.shape[1], rows_in.shape[1]
    row = first
    for p in range(index.shape[1]):
        if index[t, p] < first:
            continue
        corner = (p // width) * stride * width_in + (p % width) * stride
        for k in range(size * size):
            r = index_in[t, corner + (k // size) * width_in + k % size]
            source[row, k] = r
            for c in range(channels):
                patches[row, k * channels + c] = rows_in[r, c]
        row += 1
    np.dot(patches[first:last], weight, rows[first:last])
    for r in range(first, last):
        for c in range(bias.size):
            rows[r, c] = max(rows[r, c] + bias[c], np.float32(0))


@kernel(f"void({F2}, {F2}, {I2}, {F2}, {F2}, {F2}, {F1}, {F2})")
def convolve_backward(d_rows, patches, source, weight, d_patches, d_weight, d_bias, d_rows_in):
    """Gradients of weight, bias (added) and input rows (where there is room for them) from those of the rows."""
    np.dot(patches.T, d_rows, d_weight)
    for r in range(d_rows.shape[0]):
        for c in range(d_bias.size):
            d_bias[c] += d_rows[r, c]
    if d_rows_in.size == 0:
        return
    np.dot(d_rows, weight.T, d_patches)
    d_rows_in[:] = 0
    channels = d_rows_in.shape[1]
    for r in range(d_rows.shape[0]):
        for k in range(source.shape[1]):
            for c in range(channels):
                d_rows_in[source[r, k], c] += d_patches[r, k * channels + c]


@kernel(f"void({F1}, {I1}, {F1})")
def take(source, order, target):
    """target = source[order]."""
    for i in range(order.size):
        target[i] = source[order[i]]


@kernel(f"void({F1}, {I1}, {F1})")
def add(source, order, target):
    """target[order] += source."""
    for i in range(order.size):
        target[order[i]] += source[i]


@kernel(f"void({F2}, {F2})")
def rectify_gradient(d_rows, rows):
    """Sets the gradient to 0 where the rectified rows are."""
    for r in range(d_rows.shape[0]):
        for c in range(d_rows.shape[1]):
            if rows[r, c] <= 0:
                d_rows[r, c] = 0


@kernel(f"void(int64, {U2}, {I2}, {F2}, {F3}, {F1}, {F2}, {F2})")
def dense(t, changed, index, rows, blocks, bias, before, after):
    """Rectified linear layer on the last convolution: state t's sum is state t - 1's plus what the changed rows add.

    blocks [positions, outputs, channels]; before holds the sums, after the rectified sums.
    """
    flat, channels = changed.reshape(-1), rows.shape[1]
    difference = np.empty(channels, np.float32)
    part = np.empty(bias.size, np.float32)
    before[t] = bias if t == 0 else before[t - 1]
    for p in range(flat.size):
        if not flat[p]:
            continue
        total = np.float32(0)
        for c in range(channels):
            old = rows[index[t - 1, p], c] if t > 0 else np.float32(0)
            difference[c] = rows[index[t, p], c] - old
            total += abs(difference[c])
        if total > 0:
            np.dot(blocks[p], difference, part)
            for o in range(bias.size):
                before[t, o] += part[o]
    for o in range(bias.size):
        after[t, o] = max(before[t, o], np.float32(0))


@kernel(f"void({I2}, {F2}, {F3}, {F2})")
def dense_backward(index, delta, blocks, d_rows):
    """Gradient of the last convolution's rows; delta [T, outputs] is that of the linear layer's sums.

    A row that served several states gets the sum of their gradients, so it is the sum of delta that is multiplied.
    """
    steps, outputs = delta.shape
    sums, parts = np.empty((steps, outputs), np.float32), np.empty((steps, d_rows.shape[1]), np.float32)
    for p in range(index.shape[1]):
        n = 0
        for t in range(steps):
            if t == 0 or index[t, p] != index[t - 1, p]:
                n += 1
                for o in range(outputs):
                    sums[n - 1, o] = delta[t, o]
            else:
                for o in range(outputs):
                    sums[n - 1, o] += delta[t, o]
        np.dot(sums[:n], blocks[p], parts[:n])
        n = 0
        for t in range(steps):
            if t == 0 or index[t, p] != index[t - 1, p]:
                for c in range(d_rows.shape[1]):
                    d_rows[index[t, p], c] = parts[n, c]
                n += 1


@kernel(f"void({I2}, {F2}, {F2})")
def gather_states(index, rows, states):
    """The linear layer's inputs [T, positions * channels] from rows."""
    channels = rows.shape[1]
    for t in range(states.shape[0]):
        for p in range(index.shape[1]):
            for c in range(channels):
                states[t, p * channels + c] = rows[index[t, p], c]


@kernel(f"void({F2}, {F2}, {F1})")
def add_outer(delta, inputs, d_weight):
    """d_weight (flat) += delta^T inputs."""
    width = inputs.shape[1]
    for o in range(delta.shape[1]):
        row = d_weight[o * width : (o + 1) * width]
        for t in range(delta.shape[0]):
            if delta[t, o] != 0:
                for i in range(width):
                    row[i] += delta[t, o] * inputs[t, i]


@kernel(f"float64({F2}, {F2})")
def outer_square_norm(delta, inputs):
    """Squared norm of delta^T inputs, from two Gram matrices."""
    total = 0.0
    for s in range(delta.shape[0]):
        for t in range(s + 1):
            product = np.dot(delta[s], delta[t]) * np.dot(inputs[s], inputs[t])
            total += product if s == t else 2 * product
    return total


@kernel(f"float64({F1})")
def square_norm(vector):
    """Squared L2 norm."""
    total = np.float32(0)
    for i in range(vector.size):
        total += vector[i] * vector[i]
    return total


@kernel(f"void({F1}, {F1}, {F1}, {F1}, {F2}, {F1}, float32, float32, float32)")
def rmsprop_outer_row(theta, g, rest, delta, inputs, new, rate, decay, epsilon):
    """RMSProp for d = rest + delta[:5] inputs[:5], of which nothing is written; new is theta's new value."""
    d0, d1, d2, d3, d4 = delta[0], delta[1], delta[2], delta[3], delta[4]
    for i in range(theta.size):
        step = (
            rest[i] + d0 * inputs[0, i] + d1 * inputs[1, i] + d2 * inputs[2, i] + d3 * inputs[3, i] + d4 * inputs[4, i]
        )
        square = decay * g[i] + (np.float32(1) - decay) * step * step
        g[i] = square
        new[i] = theta[i] - rate * step / np.sqrt(square + epsilon)
        theta[i] = new[i]


@kernel(f"void({F1}, {F1}, {F2}, {F2}, {F3}, float32, float32, float32, float32)")
def rmsprop_outer(theta, g, delta, inputs, copy, scale, rate, decay, epsilon):
    """The same for a weight with the gradient delta^T inputs, never written; theta also goes to copy, block by block.

    delta and inputs have at least five rows; copy [blocks, outputs, width of a block].
    """
    blocks, outputs, width = copy.shape
    n = blocks * width
    column, rest, new = np.empty(len(delta), np.float32), np.zeros(n, np.float32), np.empty(n, np.float32)
    for o in range(outputs):
        row, g_row = theta[o * n : (o + 1) * n], g[o * n : (o + 1) * n]
        column[:] = delta[:, o] * scale
        if not column.any():  # a rectified unit that was off in every state
            for i in range(n):
                g_row[i] *= decay
                new[i] = row[i]
        else:
            if len(column) > 5:
                rest[:] = 0
            for t in range(5, len(column)):
                for i in range(n):
                    rest[i] += column[t] * inputs[t, i]
            rmsprop_outer_row(row, g_row, rest, column, inputs, new, rate, decay, epsilon)
        for b in range(blocks):
            for i in range(width):
                copy[b, o, i] = new[b * width + i]


@kernel("float32(float32)")
def sigmoid(x):
    """The logistic function; exp would overflow, which fastmath rules out."""
    return np.float32(0.5) * np.tanh(np.float32(0.5) * x) + np.float32(0.5)


@kernel(f"void({F2}, {F1}, {F2}, {F2}, {F2}, {F1}, {F1}, {F1}, {F1})")
def lstm_step(weight_x, x, weight_h, bias, gates, h, c, h_next, c_next):
    """One step of nn.LSTM; gates [4, units] leaves with i, f, g, o after their nonlinearities."""
    flat, units = gates.reshape(-1), h.size
    flat[:] = np.dot(weight_x, x) + np.dot(weight_h, h) + bias[0] + bias[1]
    for u in range(units):
        i, f, o = sigmoid(gates[0, u]), sigmoid(gates[1, u]), sigmoid(gates[3, u])
        g = np.tanh(gates[2, u])
        gates[0, u], gates[1, u], gates[2, u], gates[3, u] = i, f, g, o
        c_next[u] = f * c[u] + i * g
        h_next[u] = o * np.tanh(c_next[u])


@kernel(f"void({F2}, {F2}, {F3}, {F2}, {F2}, {F3}, {F2})")
def lstm_backward(weight_x, weight_h, gates, c, d_h, d_gates, d_x):
    """Back through time: d_h [T, units] in, d_gates [T, 4, units] (of the sums) and d_x [T, inputs] out."""
    steps, units = d_h.shape
    d_c = np.zeros(units, np.float32)
    one = np.float32(1)
    for t in range(steps - 1, -1, -1):
        for u in range(units):
            i, f, g, o = gates[t, 0, u], gates[t, 1, u], gates[t, 2, u], gates[t, 3, u]
            tanh_c = np.tanh(c[t + 1, u])
            d_c[u] += d_h[t, u] * o * (one - tanh_c * tanh_c)
            d_gates[t, 0, u] = d_c[u] * g * i * (one - i)
            d_gates[t, 1, u] = d_c[u] * c[t, u] * f * (one - f)
            d_gates[t, 2, u] = d_c[u] * i * (one - g * g)
            d_gates[t, 3, u] = d_h[t, u] * tanh_c * o * (one - o)
            d_c[u] *= f
        flat = d_gates[t].reshape(-1)
        d_x[t] = np.dot(flat, weight_x)
        if t > 0:
            d_h[t - 1] += np.dot(flat, weight_h)


@kernel(f"void({F2}, {F1}, {F1}, {F1})")
def linear(weight, x, bias, out):
    """out = weight x + bias."""
    for o in range(bias.size):
        total = bias[o]
        for i in range(x.size):
            total += weight[o, i] * x[i]
        out[o] = total
