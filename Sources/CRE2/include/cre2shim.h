// The little of RE2 that matchers need, as C. RE2 is what Alertmanager's own matchers are written in (Go's regexp has
// its syntax), and its time is linear in its input, whoever wrote the expression.
#ifndef CRE2SHIM_H
#define CRE2SHIM_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cre2shim_expression cre2shim_expression;

// Compiles `length` bytes of UTF-8. NULL when it is no expression: then at most `room` bytes of the reason are in `why`,
// with a NUL at their end.
cre2shim_expression *cre2shim_compile(const char *text, size_t length, char *why, size_t room);

// Whether the whole of the text matches. Safe from any number of threads.
bool cre2shim_matches(const cre2shim_expression *expression, const char *text, size_t length);

void cre2shim_free(cre2shim_expression *expression);

#ifdef __cplusplus
}
#endif
#endif
