#include "csimdjson.h"

#include <simdjson.h>

#include <memory>
#include <new>

namespace {
// A parser brings its tape and buffers along, several times as large as the document: one that was small is used again by the
// next document that is parsed on the thread.
constexpr size_t kept_capacity = 128 * 1024;
thread_local std::unique_ptr<simdjson::dom::parser> spare;

std::unique_ptr<simdjson::dom::parser> take() {
    if (spare) return std::move(spare);
    return std::unique_ptr<simdjson::dom::parser>(new (std::nothrow) simdjson::dom::parser());
}
}  // namespace

extern "C" csimdjson_document csimdjson_parse(const uint8_t *bytes, size_t length, size_t depth) {
    csimdjson_document out = {nullptr, nullptr, nullptr, CSIMDJSON_OK};
    auto parser = take();
    if (!parser) {
        out.status = CSIMDJSON_OUT_OF_MEMORY;
        return out;
    }
    // simdjson counts what a level holds as one more level.
    auto error = simdjson::SUCCESS;
    if (parser->capacity() < length || parser->max_depth() != depth + 1) {
        error = parser->allocate(length < 64 ? 64 : length, depth + 1);
    }
    if (!error) error = parser->parse(bytes, length, /* copy into a padded buffer: */ true).error();
    switch (error) {
        case simdjson::SUCCESS:
            out.tape = parser->doc.tape.get();
            out.strings = parser->doc.string_buf.get();
            out.parser = parser.release();
            return out;
        case simdjson::DEPTH_ERROR: out.status = CSIMDJSON_TOO_DEEP; break;
        case simdjson::CAPACITY: out.status = CSIMDJSON_TOO_LARGE; break;
        case simdjson::MEMALLOC: out.status = CSIMDJSON_OUT_OF_MEMORY; break;
        default: out.status = CSIMDJSON_MALFORMED; break;
    }
    return out;
}

extern "C" void csimdjson_free(void *parser) {
    std::unique_ptr<simdjson::dom::parser> done(static_cast<simdjson::dom::parser *>(parser));
    if (!spare && done && done->capacity() <= kept_capacity) spare = std::move(done);
}
