// libcurl's variadic functions with one type each, for Swift, which can't call variadic C.
#ifndef CCURL_H
#define CCURL_H

#include <curl/curl.h>

typedef size_t (*ccurl_write)(char *bytes, size_t size, size_t count, void *context);

CURLcode ccurl_set_long(CURL *easy, CURLoption option, long value);
CURLcode ccurl_set_text(CURL *easy, CURLoption option, const char *value);
// The bytes are copied.
CURLcode ccurl_set_blob(CURL *easy, CURLoption option, const void *bytes, size_t count);
// `count` bytes that must live as long as the transfer.
CURLcode ccurl_set_body(CURL *easy, const void *bytes, size_t count);
CURLcode ccurl_set_headers(CURL *easy, struct curl_slist *headers);
CURLcode ccurl_set_writer(CURL *easy, ccurl_write write, void *context);
CURLcode ccurl_set_header_reader(CURL *easy, ccurl_write write, void *context);
CURLcode ccurl_set_error_buffer(CURL *easy, char *buffer);
long ccurl_status(CURL *easy);
// Before a handle has its first transfer.
CURLMcode ccurl_multi_set_long(CURLM *multi, CURLMoption option, long value);
// The next transfer that has ended, with its result; NULL when there is none.
CURL *ccurl_next_ended(CURLM *multi, CURLcode *result);

/// How long bytes may be sent without being acknowledged, before the connection is given up.
CURLcode ccurl_set_patience(CURL *easy, long ms);

#endif
