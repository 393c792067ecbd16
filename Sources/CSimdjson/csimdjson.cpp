#include "csimdjson.h"

#include "mend.h"

#include <simdjson.h>

#include <cstring>
#include <memory>
#include <new>

namespace {
// A parser, and the copy of the text that it reads: simdjson looks at some bytes behind the end.
struct Parser {
    simdjson::dom::parser parser;
    std::unique_ptr<uint8_t[]> text;
    size_t room = 0;

    // False without memory.
    bool copy(const uint8_t *bytes, size_t length) {
        if (!text || room < length) {
            text.reset(new (std::nothrow) uint8_t[length + simdjson::SIMDJSON_PADDING]);
            room = text ? length : 0;
            if (!text) return false;
        }
        std::memcpy(text.get(), bytes, length);
        std::memset(text.get() + length, ' ', simdjson::SIMDJSON_PADDING);
        return true;
    }
};

// A parser brings its tape and buffers along, several times as large as the document: one that was small is used again by the
// next document that is parsed on the thread.
constexpr size_t kept_capacity = 128 * 1024;
thread_local std::unique_ptr<Parser> spare;

std::unique_ptr<Parser> take() {
    if (spare) return std::move(spare);
    return std::unique_ptr<Parser>(new (std::nothrow) Parser());
}

// The tape and the indexes take up to 12 bytes for each structural character. A text of little else, `[0,0,0`, would take 14 times
// its length, and what is made of it more; with two in five bytes it is 7. A real document has one in eight or so.
constexpr size_t dense_length = 4 * 1024 * 1024;

bool is_dense(size_t structurals, size_t length) { return length > dense_length && structurals / 2 > length / 5; }

simdjson::error_code allocate(simdjson::dom::parser &parser, size_t length, size_t depth) {
    const size_t capacity = length < 64 ? 64 : length;
    if (parser.capacity() < length || parser.max_depth() != depth) {
        if (auto error = parser.allocate(capacity, depth)) return error;
    }
    if (parser.doc.capacity() < length) return parser.doc.allocate(capacity);
    return simdjson::SUCCESS;
}
csimdjson_status parse(Parser &owner, const uint8_t *bytes, size_t length, size_t depth) {
    if (!owner.copy(bytes, length)) return CSIMDJSON_OUT_OF_MEMORY;
    auto &parser = owner.parser;
    // simdjson counts what a level holds as one more level.
    auto error = allocate(parser, length, depth + 1);
    if (!error) error = parser.implementation->stage1(owner.text.get(), length, simdjson::stage1_mode::regular);
    if (!error && is_dense(parser.implementation->n_structural_indexes, length)) return CSIMDJSON_TOO_DENSE;
    if (!error) error = parser.implementation->stage2(parser.doc);
    switch (error) {
        case simdjson::SUCCESS: return CSIMDJSON_OK;
        case simdjson::DEPTH_ERROR: return CSIMDJSON_TOO_DEEP;
        case simdjson::CAPACITY: return CSIMDJSON_TOO_LARGE;
        case simdjson::MEMALLOC: return CSIMDJSON_OUT_OF_MEMORY;
        default: return CSIMDJSON_MALFORMED;
    }
}
}  // namespace

extern "C" csimdjson_document csimdjson_parse(const uint8_t *bytes, size_t length, size_t depth, bool lenient) {
    csimdjson_document out = {nullptr, nullptr, nullptr, CSIMDJSON_OUT_OF_MEMORY, 0};
    auto owner = take();
    if (owner) out.status = parse(*owner, bytes, length, depth);
    if (out.status == CSIMDJSON_MALFORMED) {
        const auto mended = csimdjson::mend(bytes, length, lenient);
        if (mended.text) out.status = parse(*owner, mended.text.get(), mended.length, depth);
    }
    if (out.status == CSIMDJSON_MALFORMED || out.status == CSIMDJSON_TOO_DEEP) {
        out.fault = csimdjson::fault(bytes, length, depth, lenient);
    }
    if (out.status != CSIMDJSON_OK) return out;
    auto &parser = owner->parser;
    out.tape = parser.doc.tape.get();
    out.strings = parser.doc.string_buf.get();
    if (parser.capacity() > kept_capacity) {
        // It is not used again, and only the document is read from here on.
        owner->text.reset();
        parser.implementation->structural_indexes.reset();
    }
    out.parser = owner.release();
    return out;
}

extern "C" void csimdjson_free(void *parser) {
    std::unique_ptr<Parser> done(static_cast<Parser *>(parser));
    if (!spare && done && done->parser.capacity() <= kept_capacity) spare = std::move(done);
}
