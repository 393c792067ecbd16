#include "cre2shim.h"

#include <re2/re2.h>

#include <cstring>
#include <new>

struct cre2shim_expression {
    re2::RE2 expression;
    cre2shim_expression(const re2::StringPiece &text, const re2::RE2::Options &options) : expression(text, options) {}
};

cre2shim_expression *cre2shim_compile(const char *text, size_t length, char *why, size_t room) {
    re2::RE2::Options options;
    options.set_log_errors(false);
    // As Go compiles `^(?:text)$` with a dot that matches line breaks, which is what Prometheus does.
    options.set_dot_nl(true);
    auto *made = new (std::nothrow) cre2shim_expression(re2::StringPiece(text, length), options);
    if (made == nullptr) return nullptr;
    if (made->expression.ok()) return made;
    if (room > 0) {
        std::strncpy(why, made->expression.error().c_str(), room - 1);
        why[room - 1] = '\0';
    }
    delete made;
    return nullptr;
}

bool cre2shim_matches(const cre2shim_expression *expression, const char *text, size_t length) {
    return re2::RE2::FullMatch(re2::StringPiece(text, length), expression->expression);
}

void cre2shim_free(cre2shim_expression *expression) { delete expression; }
