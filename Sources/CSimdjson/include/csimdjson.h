// The little of simdjson that the JSON module needs, as C: one call parses a whole document, and Swift walks the
// tape by itself. The tape's format is documented in simdjson's doc/tape.md.
#ifndef CSIMDJSON_H
#define CSIMDJSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum csimdjson_status {
    CSIMDJSON_OK = 0,
    CSIMDJSON_MALFORMED = 1,
    CSIMDJSON_TOO_DEEP = 2,
    CSIMDJSON_TOO_LARGE = 3,
    CSIMDJSON_OUT_OF_MEMORY = 4,
    CSIMDJSON_TOO_DENSE = 5,  // longer than 4 MiB, and more than two structural characters in five bytes
};

typedef struct {
    void *parser;            // owns the two below; free with csimdjson_free
    const uint64_t *tape;    // tape[0] is the root word
    const uint8_t *strings;  // each: 4 bytes of length in host order, the bytes, a NUL
    enum csimdjson_status status;
    size_t fault;  // of a text that is malformed or too deep: the first byte that no document could have there, `length` at its end
} csimdjson_document;

// Parses `length` bytes, which need no padding. Nests `depth` levels at most, and 1024. A number that nothing can hold reads as a
// double near to it, and past a double's range as 1e308. Lenient: bytes that are no UTF-8, each of them, and halves of surrogate pairs read as
// U+FFFD, as in Go. On an error everything is freed already.
csimdjson_document csimdjson_parse(const uint8_t *bytes, size_t length, size_t depth, bool lenient);

void csimdjson_free(void *parser);

#ifdef __cplusplus
}
#endif
#endif
