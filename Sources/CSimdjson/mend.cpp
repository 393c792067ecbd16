// Makes of a JSON text that simdjson refuses one that it takes, where only these are in the way: numbers past a double or 64 bits, and
// (lenient) text that is no Unicode. Two passes.

#include "mend.h"

#include "scanner.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace csimdjson {
namespace {

// Text that is no UTF-8 grows to three times its bytes. So much of it is mended in any text, and a quarter of a longer one.
constexpr size_t mended_always = 64 * 1024;

bool is_number(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || byte == '-' || byte == '+' || byte == '.' || (byte | 32) == 'e';
}

bool fits(const char *text, size_t length) {
    const bool negative = text[0] == '-';
    for (size_t place = negative ? 1 : 0; place < length; place++) {
        if (text[place] < '0' || text[place] > '9') return std::isfinite(std::strtod(text, nullptr));
    }
    const char *digits = text + (negative ? 1 : 0);
    const size_t count = length - (negative ? 1 : 0);
    const char *most = negative ? "9223372036854775808" : "18446744073709551615";
    const size_t room = std::strlen(most);
    return count < room || (count == room && std::memcmp(digits, most, room) <= 0);
}

// A double near to the number, in its place and as long: blanks fill the rest. One past the largest double becomes 1e308, which is as
// wrong and no longer. `text` ends with something that is no part of a number.
void shorten(char *text, size_t length) {
    if (fits(text, length)) return;
    char *digits = text + (text[0] == '-' ? 1 : 0);
    const size_t count = length - static_cast<size_t>(digits - text);
    char near[32] = "1e308";
    bool is_integer = true;
    for (size_t place = 0; place < count; place++) is_integer = is_integer && digits[place] >= '0' && digits[place] <= '9';
    // At least 19 digits: d.dddddddddddde308 has room in them.
    if (is_integer && count <= 308) std::snprintf(near, sizeof near, "%c.%.12se%zu", digits[0], digits + 1, count - 1);
    const size_t written = std::strlen(near);
    std::memcpy(digits, near, written);
    std::memset(digits + written, ' ', count - written);
}

struct Mender {
    Scanner in;
    uint8_t *out;

    void take(size_t count) {
        std::memmove(out, in.bytes + in.at, count);
        out += count;
        in.at += count;
    }

    void replacement(const char *text, size_t count, size_t of) {
        std::memcpy(out, text, count);
        out += count;
        in.at += of;
    }

    void escape() {
        const size_t start = in.at;
        if (in.bytes[start + 1] != 'u') return take(2);
        in.at += 2;
        unsigned unit = 0;
        unsigned second = 0;
        in.hex(unit);
        const bool is_pair = unit >= 0xD800 && unit <= 0xDBFF && in.word("\\u") && in.hex(second) && second >= 0xDC00 &&
                             second <= 0xDFFF;
        in.at = start;
        if (is_pair) return take(12);
        if (unit >= 0xD800 && unit <= 0xDFFF) return replacement("\\ufffd", 6, 6);
        take(6);
    }

    void string() {
        take(1);
        while (in.bytes[in.at] != '"') {
            if (in.bytes[in.at] == '\\') {
                escape();
            } else if (in.bytes[in.at] < 0x80) {
                take(1);
            } else {
                const size_t start = in.at;
                const bool is_text = in.sequence();
                const size_t end = in.at;
                in.at = start;
                if (is_text) {
                    take(end - start);
                } else {
                    replacement("\xEF\xBF\xBD", 3, 1);
                }
            }
        }
        take(1);
    }

    void number() {
        const size_t start = in.at;
        while (in.at < in.length && is_number(in.bytes[in.at])) in.at++;
        const size_t count = in.at - start;
        in.at = start;
        char *text = reinterpret_cast<char *>(out);
        take(count);
        *out = ' ';
        shorten(text, count);
    }

    void document() {
        while (in.at < in.length) {
            const uint8_t byte = in.bytes[in.at];
            if (byte == '"') {
                string();
            } else if (byte == '-' || (byte >= '0' && byte <= '9')) {
                number();
            } else {
                take(1);
            }
        }
    }
};

}  // namespace

Mended mend(const uint8_t *bytes, size_t length, bool lenient) {
    Scanner scanner{bytes, length, lenient};
    Mended mended;
    if (!scanner.document(deepest)) return mended;
    if (scanner.strange > mended_always && scanner.strange > length / 4) return mended;
    mended.length = length + 2 * scanner.strange;
    // One byte behind it, for the end of a number.
    mended.text.reset(new (std::nothrow) uint8_t[mended.length + 1]);
    if (!mended.text) return mended;
    Mender{Scanner{bytes, length, lenient}, mended.text.get()}.document();
    return mended;
}

size_t fault(const uint8_t *bytes, size_t length, size_t depth, bool lenient) {
    Scanner scanner{bytes, length, lenient};
    if (!scanner.document(depth) || !lenient) return scanner.at;
    // Too much of it is no UTF-8.
    Scanner strict{bytes, length, false};
    strict.document(depth);
    return strict.at;
}

}  // namespace csimdjson
