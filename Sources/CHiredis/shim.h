#include <hiredis/hiredis.h>
#include <spawn.h>

/* glibc 2.34 and later; its header shows it only under _GNU_SOURCE, which Swift's importer does not set. The host's
   listening sockets must not live on in the redis-server that it starts. */
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
