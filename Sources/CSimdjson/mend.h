#ifndef CSIMDJSON_MEND_H
#define CSIMDJSON_MEND_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace csimdjson {

struct Mended {
    std::unique_ptr<uint8_t[]> text;  // null when there is nothing to mend, or no memory for it
    size_t length = 0;
};

// A copy of a JSON text with other words for numbers that simdjson refuses. Lenient: bytes that are no UTF-8, and halves of surrogate
// pairs, are U+FFFD in it. Null when the text is no JSON for another reason.
Mended mend(const uint8_t *bytes, size_t length, bool lenient);

// Where a text stops being JSON: the offset of the first byte that no document could have there, `length` when it ends too
// early. One pass, no allocation but a bit per open level.
size_t fault(const uint8_t *bytes, size_t length, size_t depth, bool lenient);

}  // namespace csimdjson
#endif
