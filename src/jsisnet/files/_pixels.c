/* Loops over the pixels of maps of segments. They release the GIL.
 *
 * A pixel of a map is a 32-bit integer, R + 256 G + 65536 B. Only the stable ABI of Python 3.11 is used, so
 * one build works with every later version.
 */
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define COLOR 0x00FFFFFFu
#define LOW_BITS 0x007F7F7Fu
#define HIGH_BITS 0x00808080u

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define LITTLE_END_FIRST
#endif

enum { NONE, SUB, UP, AVERAGE, PAETH };

/* Add three pairs of bytes, without carries between them. */
static inline uint32_t add(uint32_t a, uint32_t b) {
    return ((a & LOW_BITS) + (b & LOW_BITS)) ^ ((a ^ b) & HIGH_BITS);
}

/* Subtract three pairs of bytes, without borrows between them. */
static inline uint32_t subtract(uint32_t a, uint32_t b) {
    return (((a & LOW_BITS) | HIGH_BITS) - (b & LOW_BITS)) ^ ((a ^ ~b) & HIGH_BITS);
}

static inline uint32_t average(uint32_t a, uint32_t b) {
    return (a & b) + (((a ^ b) & 0x00FEFEFEu) >> 1);
}

static inline uint32_t closest(uint32_t left, uint32_t up, uint32_t corner) {
    if (up == corner) return left;
    if (left == corner) return up;
    uint32_t chosen = 0;
    for (int shift = 0; shift < 24; shift += 8) {
        int a = (left >> shift) & 255, b = (up >> shift) & 255, c = (corner >> shift) & 255;
        int to_a = abs(b - c), to_b = abs(a - c), to_c = abs(a + b - 2 * c);
        int best = to_a <= to_b && to_a <= to_c ? a : to_b <= to_c ? b : c;
        chosen |= (uint32_t)best << shift;
    }
    return chosen;
}

/* Pixels that are compared at once, because neighbours are mostly equal. */
#define BLOCK 8

static inline uint64_t eight_bytes(const void *from) {
    uint64_t value;
    memcpy(&value, from, 8);
    return value;
}

/* Whether a block of pixels equals the prediction of its filter. */
static inline int expected(const uint8_t *deltas, Py_ssize_t bytes) {
    uint64_t any = 0;
    for (Py_ssize_t i = 0; i < bytes; i++) any |= eight_bytes(deltas + 8 * i);
    return !any;
}

/* Whether all pixels of a block have this value. */
static inline int uniform(const uint32_t *pixels, uint32_t value) {
    uint64_t twice = value | (uint64_t)value << 32, any = 0;
    for (int i = 0; i < BLOCK; i += 2) any |= eight_bytes(pixels + i) ^ twice;
    return !any;
}

static inline void fill(uint32_t *pixels, uint32_t value) {
    for (int i = 0; i < BLOCK; i++) pixels[i] = value;
}

/* The difference of one pixel; there is a byte in front of the deltas, that of the filter. */
static inline uint32_t delta_at(const uint8_t *deltas, Py_ssize_t bytes, Py_ssize_t x) {
    const uint8_t *delta = deltas + bytes * x;
#ifdef LITTLE_END_FIRST
    uint32_t value;
    memcpy(&value, delta - 1, 4);
    return value >> 8;
#else
    return delta[0] | (uint32_t)delta[1] << 8 | (uint32_t)delta[2] << 16;
#endif
}

/* Whether a buffer is aligned for integers of this many bytes. */
static inline int aligned(const Py_buffer *buffer, size_t bytes) {
    return (uintptr_t)buffer->buf % bytes == 0;
}

/* Reverse one filter in some pixels of a row, of which `row` holds the pixels above. */
static inline void unfilter_pixels(int filter, const uint8_t *deltas, Py_ssize_t bytes,
                                   Py_ssize_t x, Py_ssize_t end, uint32_t *row, uint32_t *left,
                                   uint32_t *corner) {
    for (; x < end; x++) {
        uint32_t delta = delta_at(deltas, bytes, x), up = row[x], guess = 0;
        if (filter == SUB) guess = *left;
        if (filter == UP) guess = up;
        if (filter == AVERAGE) guess = average(*left, up);
        if (filter == PAETH) guess = closest(*left, up, *corner);
        row[x] = *left = add(guess, delta);
        *corner = up;
    }
}

/* Reverse the filter of one row of a PNG, in place of the row above. */
static inline void unfilter_row(int filter, const uint8_t *deltas, Py_ssize_t bytes,
                                Py_ssize_t width, uint32_t *row) {
    uint32_t left = 0, corner = 0;
    Py_ssize_t x = 0;
    for (; x + BLOCK <= width; x += BLOCK) {
        if (filter == NONE || filter == AVERAGE || !expected(deltas + bytes * x, bytes))
            unfilter_pixels(filter, deltas, bytes, x, x + BLOCK, row, &left, &corner);
        else if (filter == SUB || (filter == PAETH && left != corner && uniform(row + x, corner)))
            fill(row + x, left);
        else if (filter == PAETH && left != corner)
            unfilter_pixels(filter, deltas, bytes, x, x + BLOCK, row, &left, &corner);
        else
            left = corner = row[x + BLOCK - 1];
    }
    unfilter_pixels(filter, deltas, bytes, x, width, row, &left, &corner);
}

/* A PNG that is unfiltered row by row. */
typedef struct {
    const uint8_t *raw;
    Py_ssize_t bytes;
    uint32_t *row;
} Png;

/* Unfilter the next row of a PNG with 3 or 4 bytes per pixel. */
static inline int next_row_of(Png *png, Py_ssize_t bytes, Py_ssize_t width) {
    const uint8_t *deltas = png->raw + 1;
    switch (png->raw[0]) {
    case NONE: unfilter_row(NONE, deltas, bytes, width, png->row); break;
    case SUB: unfilter_row(SUB, deltas, bytes, width, png->row); break;
    case UP: unfilter_row(UP, deltas, bytes, width, png->row); break;
    case AVERAGE: unfilter_row(AVERAGE, deltas, bytes, width, png->row); break;
    case PAETH: unfilter_row(PAETH, deltas, bytes, width, png->row); break;
    default: return 0;
    }
    png->raw += 1 + width * bytes;
    return 1;
}

/* Unfilter the next row. Returns 0 if its filter is unknown. */
static inline int next_row(Png *png, Py_ssize_t width) {
    return png->bytes == 3 ? next_row_of(png, 3, width) : next_row_of(png, 4, width);
}

static PyObject *unfilter(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer raw, pixels;
    Py_ssize_t width, bytes;
    if (!PyArg_ParseTuple(args, "y*w*nn", &raw, &pixels, &width, &bytes)) return NULL;
    int known = 1;
    PyObject *result = NULL;
    Py_ssize_t rows = width > 0 ? pixels.len / 4 / width - 1 : -1;
    if (bytes < 3 || bytes > 4 || rows < 0 || pixels.len != 4 * width * (rows + 1) ||
        raw.len != rows * (1 + width * bytes) || !aligned(&pixels, sizeof(uint32_t))) {
        PyErr_SetString(PyExc_ValueError, "the buffers do not fit each other");
        goto end;
    }
    Py_BEGIN_ALLOW_THREADS
    Png png = {raw.buf, bytes, pixels.buf};
    for (Py_ssize_t y = 0; y < rows && known; y++) {
        memcpy(png.row + width, png.row, (size_t)width * sizeof *png.row);
        png.row += width;
        known = next_row(&png, width);
    }
    Py_END_ALLOW_THREADS
    if (known)
        result = Py_NewRef(Py_None);
    else
        PyErr_SetString(PyExc_ValueError, "can't be decoded: a row has an unknown filter");
end:
    PyBuffer_Release(&raw);
    PyBuffer_Release(&pixels);
    return result;
}

/* Filter one row for a PNG: RGB bytes, less those of the row above. */
static inline void filter_row(const uint32_t *above, const uint32_t *row, Py_ssize_t width,
                              uint8_t *raw) {
    *raw++ = UP;
    for (Py_ssize_t x = 0; x < width; raw += 3 * BLOCK) {
        if (x + BLOCK <= width && !memcmp(above + x, row + x, BLOCK * sizeof *row)) {
            memset(raw, 0, 3 * BLOCK);
            x += BLOCK;
            continue;
        }
        uint8_t *to = raw;
        for (Py_ssize_t end = x + BLOCK < width ? x + BLOCK : width; x < end; x++) {
            uint32_t delta = subtract(row[x], above[x]);
            *to++ = (uint8_t)delta;
            *to++ = (uint8_t)(delta >> 8);
            *to++ = (uint8_t)(delta >> 16);
        }
    }
}

static PyObject *filter(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer pixels, raw;
    Py_ssize_t width;
    if (!PyArg_ParseTuple(args, "y*w*n", &pixels, &raw, &width)) return NULL;
    PyObject *result = NULL;
    Py_ssize_t rows = width > 0 ? pixels.len / 4 / width - 1 : -1;
    if (rows < 0 || pixels.len != 4 * width * (rows + 1) || raw.len != rows * (1 + width * 3) ||
        !aligned(&pixels, sizeof(uint32_t))) {
        PyErr_SetString(PyExc_ValueError, "the buffers do not fit each other");
        goto end;
    }
    Py_BEGIN_ALLOW_THREADS
    const uint32_t *from = pixels.buf;
    uint8_t *to = raw.buf;
    for (Py_ssize_t y = 0; y < rows; y++)
        filter_row(from + y * width, from + (y + 1) * width, width, to + y * (1 + width * 3));
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
end:
    PyBuffer_Release(&pixels);
    PyBuffer_Release(&raw);
    return result;
}

/* Position of a value in an ascending array, or the length of the array if it is missing. */
static Py_ssize_t position(uint32_t value, const uint32_t *values, Py_ssize_t count) {
    Py_ssize_t low = 0, high = count;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        if (values[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && values[low] == value ? low : count;
}

/* Cache of looked-up positions, indexed by a hash of the value. */
#define SLOTS 64

typedef struct {
    uint32_t value[SLOTS];
    Py_ssize_t position[SLOTS];
} Cache;

static inline unsigned slot(uint32_t value) { return (value * 2654435769u) >> 26; }

static void init(Cache *cache, const uint32_t *values, Py_ssize_t count) {
    for (unsigned i = 0; i < SLOTS; i++) {
        /* No id is that high, so it marks an empty slot. */
        cache->value[i] = UINT32_MAX;
        cache->position[i] = count;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        cache->value[slot(values[i])] = values[i];
        cache->position[slot(values[i])] = i;
    }
}

static inline Py_ssize_t look_up(Cache *cache, uint32_t value, const uint32_t *values,
                                 Py_ssize_t count) {
    unsigned i = slot(value);
    if (cache->value[i] != value) {
        cache->value[i] = value;
        cache->position[i] = position(value, values, count);
    }
    return cache->position[i];
}

/* Length of the run of pixels that equal the first one in both maps. */
static inline Py_ssize_t run(const uint32_t *a, const uint32_t *b, Py_ssize_t total) {
    uint32_t one = a[0], other = b[0];
    uint64_t ones = one | (uint64_t)one << 32, others = other | (uint64_t)other << 32;
    Py_ssize_t length = 1;
    while (length + BLOCK <= total && uniform(a + length, one) && uniform(b + length, other))
        length += BLOCK;
    while (length + 2 <= total &&
           !((eight_bytes(a + length) ^ ones) | (eight_bytes(b + length) ^ others)))
        length += 2;
    return length + (length < total && a[length] == one && b[length] == other);
}

/* Joint histogram of two maps. */
typedef struct {
    const uint32_t *firsts, *seconds;
    Py_ssize_t rows, columns;
    int64_t *counts;
    Cache known_rows, known_columns;
} Histogram;

/* Check that a histogram's buffers fit each other, and forget what was looked up. */
static int start_histogram(Histogram *to, const Py_buffer *firsts, const Py_buffer *seconds,
                           const Py_buffer *table) {
    to->firsts = firsts->buf;
    to->seconds = seconds->buf;
    to->rows = firsts->len / 4;
    to->columns = seconds->len / 4;
    to->counts = table->buf;
    Py_ssize_t line = (Py_ssize_t)sizeof(int64_t) * (to->columns + 2);
    if (table->len % line || table->len / line != to->rows + 2 ||
        !aligned(firsts, sizeof(uint32_t)) || !aligned(seconds, sizeof(uint32_t)) ||
        !aligned(table, sizeof(int64_t)))
        return 0;
    init(&to->known_rows, to->firsts, to->rows);
    init(&to->known_columns, to->seconds, to->columns);
    return 1;
}

static inline int64_t *cell(Histogram *to, uint32_t a, uint32_t b) {
    Py_ssize_t row = look_up(&to->known_rows, a, to->firsts, to->rows);
    Py_ssize_t column = look_up(&to->known_columns, b, to->seconds, to->columns);
    return to->counts + row * (to->columns + 2) + column;
}

static PyObject *count_pairs(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer first, second, firsts, seconds, table;
    if (!PyArg_ParseTuple(args, "y*y*y*y*w*", &first, &second, &firsts, &seconds, &table))
        return NULL;
    PyObject *result = NULL;
    Histogram to;
    Py_ssize_t total = first.len / 4;
    if (first.len != second.len || first.len % 4 || !aligned(&first, sizeof(uint32_t)) ||
        !aligned(&second, sizeof(uint32_t)) || !start_histogram(&to, &firsts, &seconds, &table)) {
        PyErr_SetString(PyExc_ValueError, "the buffers do not fit each other");
        goto end;
    }
    Py_BEGIN_ALLOW_THREADS
    const uint32_t *a = first.buf, *b = second.buf;
    for (Py_ssize_t start = 0, length; start < total; start += length) {
        length = run(a + start, b + start, total - start);
        *cell(&to, a[start], b[start]) += length;
    }
    Py_END_ALLOW_THREADS
    result = Py_NewRef(Py_None);
end:
    PyBuffer_Release(&first);
    PyBuffer_Release(&second);
    PyBuffer_Release(&firsts);
    PyBuffer_Release(&seconds);
    PyBuffer_Release(&table);
    return result;
}

/* Mark the first pixel of a row, and those that differ from their left neighbour in either map. */
static inline void mark_changes(const uint32_t *a, const uint32_t *b, Py_ssize_t width,
                                uint8_t *marks) {
    marks[0] = 1;
    for (Py_ssize_t x = 1; x < width; x++)
        marks[x] = ((a[x] ^ a[x - 1]) | (b[x] ^ b[x - 1])) != 0;
}

/* Eight marks, of which the first one is the lowest byte on every machine. */
static inline uint64_t eight_marks(const uint8_t *marks) {
#ifdef LITTLE_END_FIRST
    return eight_bytes(marks);
#else
    uint64_t value = 0;
    for (int i = 0; i < 8; i++) value |= (uint64_t)marks[i] << 8 * i;
    return value;
#endif
}

/* Position of the first of eight marks that is set; one must be. */
static inline int first_mark(uint64_t marks) {
#ifdef __GNUC__
    return __builtin_ctzll(marks) / 8;
#else
    int position = 0;
    while (!(marks >> 8 * position & 1)) position++;
    return position;
#endif
}

/* Count the pairs of one row. Behind the marks there are zeros, up to a multiple of eight. */
static inline void count_row(const uint32_t *a, const uint32_t *b, Py_ssize_t width,
                             const uint8_t *marks, Histogram *to) {
    int64_t none = 0, *counts = &none;
    Py_ssize_t start = 0;
    for (Py_ssize_t block = 0; block < width; block += 8) {
        for (uint64_t left = eight_marks(marks + block); left; left &= left - 1) {
            Py_ssize_t x = block + first_mark(left);
            *counts += x - start;
            start = x;
            counts = cell(to, a[x], b[x]);
        }
    }
    *counts += width - start;
}

/* Height of a PNG of this width, or 0 if its rows do not fill the buffer. */
static Py_ssize_t height_of(const Py_buffer *raw, Py_ssize_t bytes, Py_ssize_t width) {
    if (bytes < 3 || bytes > 4 || width <= 0 || width >= raw->len) return 0;
    Py_ssize_t line = 1 + width * bytes;
    return raw->len % line ? 0 : raw->len / line;
}

static PyObject *count_png_pairs(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer first, second, last, firsts, seconds, table;
    Png a, b;
    if (!PyArg_ParseTuple(args, "y*ny*nw*y*y*w*", &first, &a.bytes, &second, &b.bytes, &last,
                          &firsts, &seconds, &table))
        return NULL;
    PyObject *result = NULL;
    uint8_t *marks = NULL;
    Histogram to;
    Py_ssize_t width = last.len / 8, height = height_of(&first, a.bytes, width);
    if (!height || height_of(&second, b.bytes, width) != height || last.len % 8 ||
        !aligned(&last, sizeof(uint32_t)) || !start_histogram(&to, &firsts, &seconds, &table)) {
        PyErr_SetString(PyExc_ValueError, "the buffers do not fit each other");
        goto end;
    }
    marks = calloc((size_t)width + 8, 1);
    if (!marks) {
        PyErr_NoMemory();
        goto end;
    }
    int known = 1;
    Py_BEGIN_ALLOW_THREADS
    a = (Png){first.buf, a.bytes, last.buf};
    b = (Png){second.buf, b.bytes, a.row + width};
    for (Py_ssize_t y = 0; y < height; y++) {
        known = next_row(&a, width) && next_row(&b, width);
        if (!known) break;
        mark_changes(a.row, b.row, width, marks);
        count_row(a.row, b.row, width, marks, &to);
    }
    Py_END_ALLOW_THREADS
    if (known)
        result = Py_NewRef(Py_None);
    else
        PyErr_SetString(PyExc_ValueError, "can't be decoded: a row has an unknown filter");
end:
    free(marks);
    PyBuffer_Release(&first);
    PyBuffer_Release(&second);
    PyBuffer_Release(&last);
    PyBuffer_Release(&firsts);
    PyBuffer_Release(&seconds);
    PyBuffer_Release(&table);
    return result;
}

static PyObject *renumber(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer ids, known, numbers, renumbered, areas;
    if (!PyArg_ParseTuple(args, "y*y*y*w*w*", &ids, &known, &numbers, &renumbered, &areas))
        return NULL;
    PyObject *result = NULL;
    Py_ssize_t count = known.len / 4, total = ids.len / 4;
    if (ids.len % 4 || renumbered.len != ids.len || numbers.len != known.len ||
        areas.len != (Py_ssize_t)sizeof(int64_t) * count || !aligned(&ids, sizeof(uint32_t)) ||
        !aligned(&known, sizeof(uint32_t)) || !aligned(&numbers, sizeof(uint32_t)) ||
        !aligned(&renumbered, sizeof(uint32_t)) || !aligned(&areas, sizeof(int64_t))) {
        PyErr_SetString(PyExc_ValueError, "the buffers do not fit each other");
        goto end;
    }
    Py_ssize_t start = 0;
    Py_BEGIN_ALLOW_THREADS
    const uint32_t *from = ids.buf, *number = numbers.buf;
    uint32_t *to = renumbered.buf;
    int64_t *pixels = areas.buf;
    Cache cache;
    init(&cache, known.buf, count);
    for (Py_ssize_t length; start < total; start += length) {
        Py_ssize_t position = look_up(&cache, from[start], known.buf, count);
        if (position == count) break;
        length = run(from + start, from + start, total - start);
        pixels[position] += length;
        for (Py_ssize_t i = start; i < start + length; i++) to[i] = number[position];
    }
    Py_END_ALLOW_THREADS
    result = PyLong_FromSsize_t(start);
end:
    PyBuffer_Release(&ids);
    PyBuffer_Release(&known);
    PyBuffer_Release(&numbers);
    PyBuffer_Release(&renumbered);
    PyBuffer_Release(&areas);
    return result;
}

/* Mix the pixels of a photo with colours, by rows of two tables of 16-bit factors and summands:
 * the row of a pixel is its segment's number times `levels`, plus its level.
 */
static PyObject *blend(PyObject *module, PyObject *args) {
    (void)module;
    Py_buffer image, ids, level, factors, summands, picture;
    Py_ssize_t levels;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*nw*", &image, &ids, &level, &factors, &summands, &levels,
                          &picture))
        return NULL;
    PyObject *result = NULL;
    Py_ssize_t total = level.len, rows = factors.len / 6;
    if (image.len != 3 * total || picture.len != 3 * total || ids.len != 4 * total || levels < 1 ||
        summands.len != factors.len || !aligned(&ids, sizeof(uint32_t)) ||
        !aligned(&factors, sizeof(uint16_t)) || !aligned(&summands, sizeof(uint16_t))) {
        PyErr_SetString(PyExc_ValueError, "the buffers do not fit each other");
        goto end;
    }
    Py_ssize_t i = 0;
    Py_BEGIN_ALLOW_THREADS
    const uint32_t *id = ids.buf;
    const uint8_t *from = image.buf, *step = level.buf;
    const uint16_t *factor = factors.buf, *summand = summands.buf;
    uint8_t *to = picture.buf;
    for (; i < total; i++, from += 3, to += 3) {
        uint64_t row = (uint64_t)id[i] * (uint64_t)levels + step[i];
        if (row >= (uint64_t)rows) break;
        for (int c = 0; c < 3; c++)
            to[c] = (uint16_t)(factor[3 * row + c] * from[c] + summand[3 * row + c]) >> 8;
    }
    Py_END_ALLOW_THREADS
    if (i < total)
        PyErr_SetString(PyExc_ValueError, "a pixel has a segment or level that no table has");
    else
        result = Py_NewRef(Py_None);
end:
    PyBuffer_Release(&image);
    PyBuffer_Release(&ids);
    PyBuffer_Release(&level);
    PyBuffer_Release(&factors);
    PyBuffer_Release(&summands);
    PyBuffer_Release(&picture);
    return result;
}

static PyMethodDef methods[] = {
    {"filter", filter, METH_VARARGS, NULL},
    {"unfilter", unfilter, METH_VARARGS, NULL},
    {"count_pairs", count_pairs, METH_VARARGS, NULL},
    {"count_png_pairs", count_png_pairs, METH_VARARGS, NULL},
    {"renumber", renumber, METH_VARARGS, NULL},
    {"blend", blend, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "jsisnet.files._pixels",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__pixels(void) { return PyModuleDef_Init(&definition); }
