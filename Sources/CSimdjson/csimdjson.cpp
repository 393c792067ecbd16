#include "csimdjson.h"

#include <simdjson.h>

#include <new>

extern "C" csimdjson_document csimdjson_parse(const uint8_t *bytes, size_t length, size_t depth) {
    csimdjson_document out = {nullptr, nullptr, nullptr, CSIMDJSON_OK};
    auto *parser = new (std::nothrow) simdjson::dom::parser();
    if (parser == nullptr) {
        out.status = CSIMDJSON_OUT_OF_MEMORY;
        return out;
    }
    // simdjson counts what a level holds as one more level.
    auto error = parser->allocate(length < 64 ? 64 : length, depth + 1);
    if (!error) error = parser->parse(bytes, length, /* copy into a padded buffer: */ true).error();
    switch (error) {
        case simdjson::SUCCESS:
            out.parser = parser;
            out.tape = parser->doc.tape.get();
            out.strings = parser->doc.string_buf.get();
            return out;
        case simdjson::DEPTH_ERROR: out.status = CSIMDJSON_TOO_DEEP; break;
        case simdjson::CAPACITY: out.status = CSIMDJSON_TOO_LARGE; break;
        case simdjson::MEMALLOC: out.status = CSIMDJSON_OUT_OF_MEMORY; break;
        default: out.status = CSIMDJSON_MALFORMED; break;
    }
    delete parser;
    return out;
}

extern "C" void csimdjson_free(void *parser) { delete static_cast<simdjson::dom::parser *>(parser); }
