#include <simdjson.h>
extern "C" {
#include "csimdjson.h"
}
extern "C" int csimdjson_placeholder(void) { simdjson::dom::parser p; return (int)p.capacity(); }
