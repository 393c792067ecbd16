// simdjson's document parser says that a text is bad, not where, and refuses numbers that no double holds. This scanner runs on
// texts that it refused only.
#ifndef CSIMDJSON_SCANNER_H
#define CSIMDJSON_SCANNER_H

#include <cstddef>
#include <cstdint>

namespace csimdjson {

constexpr size_t deepest = 1024;

struct Scanner {
    const uint8_t *bytes;
    size_t length;
    // What Go's reader takes for U+FFFD is no fault: bytes that are no UTF-8, and half a surrogate pair.
    bool lenient;
    size_t at = 0;
    // Bytes that are no UTF-8.
    size_t strange = 0;

    int peek() const { return at < length ? bytes[at] : -1; }

    void space() {
        while (at < length && (bytes[at] == ' ' || bytes[at] == '\n' || bytes[at] == '\r' || bytes[at] == '\t')) at++;
    }

    bool word(const char *text) {
        for (; *text != 0; text++, at++) {
            if (peek() != static_cast<uint8_t>(*text)) return false;
        }
        return true;
    }

    bool digits() {
        if (peek() < '0' || peek() > '9') return false;
        while (peek() >= '0' && peek() <= '9') at++;
        return true;
    }

    bool number() {
        if (peek() == '-') at++;
        if (peek() == '0') {
            at++;
        } else if (!digits()) {
            return false;
        }
        if (peek() == '.') {
            at++;
            if (!digits()) return false;
        }
        if (peek() == 'e' || peek() == 'E') {
            at++;
            if (peek() == '+' || peek() == '-') at++;
            if (!digits()) return false;
        }
        return true;
    }

    // One UTF-8 sequence past ASCII, after table 3-7 of the Unicode standard.
    bool sequence() {
        const int lead = bytes[at];
        int more = 0;
        int low = 0x80;
        int high = 0xBF;
        if (lead >= 0xC2 && lead <= 0xDF) {
            more = 1;
        } else if (lead >= 0xE0 && lead <= 0xEF) {
            more = 2;
            if (lead == 0xE0) low = 0xA0;
            if (lead == 0xED) high = 0x9F;
        } else if (lead >= 0xF0 && lead <= 0xF4) {
            more = 3;
            if (lead == 0xF0) low = 0x90;
            if (lead == 0xF4) high = 0x8F;
        } else {
            return false;
        }
        at++;
        for (; more > 0; more--, at++, low = 0x80, high = 0xBF) {
            if (peek() < low || peek() > high) return false;
        }
        return true;
    }

    // Four digits of \u; their value in `unit`.
    bool hex(unsigned &unit) {
        unit = 0;
        for (int place = 0; place < 4; place++, at++) {
            const int digit = peek();
            unit <<= 4;
            if (digit >= '0' && digit <= '9') {
                unit |= static_cast<unsigned>(digit - '0');
            } else if ((digit | 32) >= 'a' && (digit | 32) <= 'f') {
                unit |= static_cast<unsigned>((digit | 32) - 'a' + 10);
            } else {
                return false;
            }
        }
        return true;
    }

    // Half a pair: its six bytes are skipped, or it is a fault.
    bool half(size_t start) {
        at = lenient ? start + 6 : start;
        return lenient;
    }

    bool escape() {
        const size_t start = at;
        at++;
        switch (peek()) {
            case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
                at++;
                return true;
            case 'u': break;
            default: return false;
        }
        at++;
        unsigned unit = 0;
        if (!hex(unit)) return false;
        if (unit < 0xD800 || unit > 0xDFFF) return true;
        unsigned second = 0;
        if (unit <= 0xDBFF) {
            if (at == length) return false;
            if (word("\\u") && hex(second) && second >= 0xDC00 && second <= 0xDFFF) return true;
            if (at == length) return false;
        }
        return half(start);
    }

    bool string() {
        at++;
        while (at < length) {
            const uint8_t byte = bytes[at];
            if (byte == '"') {
                at++;
                return true;
            }
            if (byte == '\\') {
                if (!escape()) return false;
            } else if (byte < 0x20) {
                return false;
            } else if (byte < 0x80) {
                at++;
            } else {
                const size_t start = at;
                if (sequence()) continue;
                if (!lenient) return false;
                at = start + 1;
                strange++;
            }
        }
        return false;
    }

    bool key() {
        space();
        if (peek() != '"' || !string()) return false;
        space();
        if (peek() != ':') return false;
        at++;
        return true;
    }

    bool scalar() {
        switch (peek()) {
            case '"': return string();
            case 't': return word("true");
            case 'f': return word("false");
            case 'n': return word("null");
            default: return number();
        }
    }

    // True when the whole text is a document, `at` is the fault otherwise.
    bool document(size_t depth) {
        bool object[deepest];
        size_t open = 0;
        if (depth > deepest) depth = deepest;
        for (;;) {
            space();
            const int next = peek();
            if (next == '{' || next == '[') {
                if (open == depth) return false;
                object[open++] = next == '{';
                at++;
                space();
                if (peek() == (next == '{' ? '}' : ']')) {
                    at++;
                    open--;
                } else {
                    if (next == '{' && !key()) return false;
                    continue;
                }
            } else if (!scalar()) {
                return false;
            }
            // A value has ended: close what closes, or go on with the next one.
            for (;;) {
                space();
                if (open == 0) return at == length;
                if (peek() == ',') {
                    at++;
                    if (object[open - 1] && !key()) return false;
                    break;
                }
                if (peek() != (object[open - 1] ? '}' : ']')) return false;
                at++;
                open--;
            }
        }
    }
};

}  // namespace csimdjson
#endif
