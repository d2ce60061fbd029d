// SPDX-License-Identifier: Apache-2.0
/* A disk that fails on demand, and a log of what was put on it; for tests, by LD_PRELOAD.
 *
 * Calls of the C library that read, write or name files are counted while they concern one folder.
 * The one that is asked for fails, or does only a part of its work; all others are carried out. What
 * changes files or names is logged by inode, so that the reader (support/failing_system.py) can say
 * what a loss of power would have left. Nothing is really synced: nobody cuts the power here, and
 * without waiting for a disk there is time for every call. One thread begins and ends the count. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { FAIL_ONCE = 0, FAIL_FROM_THERE_ON = 1, DO_A_PART = 2 };

#define LOG_BYTES ((size_t)1 << 22)

static struct {
    bool on;
    char folder[PATH_MAX];
    size_t n_folder;
    long count, at;
    int code;
    enum how how;
    char failed[32]; /* the first call that failed; empty if none */
    char log[LOG_BYTES];
    size_t n_log;
} state;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The function of the C library behind ours, found once. */
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (!real) {                                                                                   \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                 \
    }

/* ---- what a call concerns ---------------------------------------------------------------------- */

static bool inside(const char *path)
{
    return strncmp(path, state.folder, state.n_folder) == 0 &&
           (path[state.n_folder] == '/' || path[state.n_folder] == '\0');
}

static bool path_of_handle(int handle, char *path)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    const ssize_t n = readlink(link, path, PATH_MAX - 1);
    path[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* Writes the absolute form of a path that may count from a folder's handle; whether it concerns us. */
static bool concerns(int from, const char *path, char *full)
{
    if (!state.on || !path) {
        return false;
    }
    if (path[0] == '/') {
        snprintf(full, PATH_MAX, "%s", path);
        return inside(full);
    }
    char base[PATH_MAX];
    const bool known =
        from == AT_FDCWD ? getcwd(base, PATH_MAX) != NULL : path_of_handle(from, base);
    return known && snprintf(full, PATH_MAX, "%s/%s", base, path) < PATH_MAX && inside(full);
}

static bool concerns_handle(int handle)
{
    char path[PATH_MAX];
    return state.on && path_of_handle(handle, path) && inside(path);
}

/* ---- what becomes of it ------------------------------------------------------------------------ */

/* Counts a call; whether it fails, with errno set. `changes`: it needs room or a disk that writes. */
static bool fails(const char *name, bool changes)
{
    pthread_mutex_lock(&lock);
    const long now = state.count++;
    const bool hit = state.how == FAIL_FROM_THERE_ON ? now >= state.at && changes : now == state.at;
    const bool failing = hit && state.how != DO_A_PART;
    if (failing && !state.failed[0]) {
        snprintf(state.failed, sizeof state.failed, "%s", name);
    }
    pthread_mutex_unlock(&lock);
    if (failing) {
        errno = state.code;
    }
    return failing;
}

/* Like `fails`, for a call that moves bytes: *n becomes a part of them where that is asked for. */
static bool fails_or_shortens(const char *name, bool changes, size_t *n)
{
    const long now = state.count;
    if (state.how == DO_A_PART && now == state.at && *n > 1) {
        *n /= 2;
        snprintf(state.failed, sizeof state.failed, "short %s", name);
    }
    return fails(name, changes);
}

static void note(const char *format, ...)
{
    pthread_mutex_lock(&lock);
    va_list arguments;
    va_start(arguments, format);
    const size_t left = LOG_BYTES - state.n_log;
    const int n = vsnprintf(state.log + state.n_log, left, format, arguments);
    va_end(arguments);
    if (n > 0 && (size_t)n < left) {
        state.n_log += (size_t)n;
    }
    pthread_mutex_unlock(&lock);
}

static unsigned long inode_of(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0 ? status.st_ino : 0;
}

static unsigned long inode_of_handle(int handle)
{
    struct stat status;
    return fstat(handle, &status) == 0 ? status.st_ino : 0;
}

/* The folder in which a path gives a name; *name is the name. */
static unsigned long parent_of(const char *path, const char **name)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    *name = strrchr(path, '/') + 1;
    *slash = '\0';
    return inode_of(folder);
}

static void note_name(const char *what, const char *path)
{
    const char *name;
    const unsigned long parent = parent_of(path, &name);
    note("%s\t%lu\t%lu\t%s\n", what, inode_of(path), parent, name);
}

/* ---- files ------------------------------------------------------------------------------------- */

static int open_file(int from, const char *path, int flags, mode_t mode)
{
    REAL(openat)
    char full[PATH_MAX];
    if (!concerns(from, path, full)) {
        return real(from, path, flags, mode);
    }
    const bool is_new = (flags & O_CREAT) && inode_of(full) == 0;
    if (fails("open", (flags & (O_CREAT | O_TRUNC)) != 0)) {
        return -1;
    }
    const int handle = real(from, path, flags, mode);
    if (handle >= 0 && is_new) {
        note_name("create", full);
    } else if (handle >= 0 && (flags & O_TRUNC)) {
        note("write\t%lu\n", inode_of_handle(handle));
    }
    return handle;
}

#define MODE_OF(flags, mode)                                                                       \
    va_list arguments;                                                                             \
    va_start(arguments, flags);                                                                    \
    const mode_t mode = ((flags) & (O_CREAT | O_TMPFILE)) ? va_arg(arguments, mode_t) : 0;         \
    va_end(arguments)
#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        MODE_OF(flags, mode);                                                                      \
        return open_file(AT_FDCWD, path, flags, mode);                                             \
    }
#define OPENAT(name)                                                                               \
    int name(int from, const char *path, int flags, ...)                                           \
    {                                                                                              \
        MODE_OF(flags, mode);                                                                      \
        return open_file(from, path, flags, mode);                                                 \
    }
OPEN(open)
OPEN(open64)
OPENAT(openat) /* open_file finds the library's own */
OPENAT(openat64)

ssize_t read(int handle, void *data, size_t n)
{
    REAL(read)
    if (concerns_handle(handle) && fails_or_shortens("read", false, &n)) {
        return -1;
    }
    return real(handle, data, n);
}

/* Whether a call that changes a file fails; else it is logged. *n: bytes to move, or 0. */
static bool change_fails(int handle, const char *name, size_t *n)
{
    if (!concerns_handle(handle)) {
        return false;
    }
    if (fails_or_shortens(name, true, n)) {
        return true;
    }
    note("write\t%lu\n", inode_of_handle(handle));
    return false;
}

ssize_t write(int handle, const void *data, size_t n)
{
    REAL(write)
    return change_fails(handle, "write", &n) ? -1 : real(handle, data, n);
}

#define PWRITE(name, offset_type)                                                                  \
    ssize_t name(int handle, const void *data, size_t n, offset_type offset)                       \
    {                                                                                              \
        REAL(name)                                                                                 \
        return change_fails(handle, "pwrite", &n) ? -1 : real(handle, data, n, offset);            \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t writev(int handle, const struct iovec *parts, int n)
{
    REAL(writev)
    size_t whole = 0;
    return change_fails(handle, "writev", &whole) ? -1 : real(handle, parts, n);
}

#define FTRUNCATE(name, offset_type)                                                               \
    int name(int handle, offset_type n)                                                            \
    {                                                                                              \
        REAL(name)                                                                                 \
        size_t whole = 0;                                                                          \
        return change_fails(handle, "ftruncate", &whole) ? -1 : real(handle, n);                   \
    }
FTRUNCATE(ftruncate, off_t)
FTRUNCATE(ftruncate64, off64_t)

static int sync_handle(int handle, const char *name, int (*real)(int))
{
    if (!concerns_handle(handle)) {
        return real(handle);
    }
    if (fails(name, true)) {
        return -1;
    }
    note("sync\t%lu\n", inode_of_handle(handle));
    return 0;
}

int fsync(int handle)
{
    REAL(fsync)
    return sync_handle(handle, "fsync", real);
}

int fdatasync(int handle)
{
    REAL(fdatasync)
    return sync_handle(handle, "fdatasync", real);
}

int close(int handle)
{
    REAL(close)
    if (concerns_handle(handle) && fails("close", false)) {
        const int code = errno;
        real(handle); /* the system gives the handle back, whatever it says of the data */
        errno = code;
        return -1;
    }
    return real(handle);
}

int flock(int handle, int what)
{
    REAL(flock)
    return concerns_handle(handle) && fails("flock", false) ? -1 : real(handle, what);
}

#define MMAP(name, offset_type)                                                                    \
    void *name(void *at, size_t n, int protection, int flags, int handle, offset_type offset)      \
    {                                                                                              \
        REAL(name)                                                                                 \
        if (handle >= 0 && concerns_handle(handle) && fails("mmap", false)) {                      \
            return MAP_FAILED;                                                                     \
        }                                                                                          \
        return real(at, n, protection, flags, handle, offset);                                     \
    }
MMAP(mmap, off_t)
MMAP(mmap64, off64_t)

/* ---- names ------------------------------------------------------------------------------------- */

static int rename_path(int from, const char *old, int to, const char *new, unsigned flags)
{
    REAL(renameat2)
    char before[PATH_MAX], after[PATH_MAX];
    const bool leaves = concerns(from, old, before), arrives = concerns(to, new, after);
    if (!leaves && !arrives) {
        return real(from, old, to, new, flags);
    }
    if (fails("rename", true)) {
        return -1;
    }
    const int done = real(from, old, to, new, flags);
    if (done == 0) {
        const char *old_name, *new_name;
        const unsigned long old_parent = parent_of(before, &old_name);
        const unsigned long new_parent = parent_of(after, &new_name);
        const unsigned long moved = inode_of(after), back = inode_of(before);
        note("%s\t%lu\t%lu\t%s\t%lu\t%s\t%lu\n", back ? "exchange" : "rename", moved, old_parent,
             old_name, new_parent, new_name, back);
    }
    return done;
}

int rename(const char *old, const char *new)
{
    return rename_path(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int renameat(int from, const char *old, int to, const char *new)
{
    return rename_path(from, old, to, new, 0);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    return rename_path(from, old, to, new, flags);
}

/* Carries out a call that gives something the name `path`, unless it fails, and logs it. */
#define GIVE_NAME(what, log_as, folder, path, call)                                                \
    char full[PATH_MAX];                                                                           \
    const bool ours = concerns(folder, path, full);                                                \
    if (ours && fails(what, true)) {                                                               \
        return -1;                                                                                 \
    }                                                                                              \
    const int done = call;                                                                         \
    if (ours && done == 0) {                                                                       \
        note_name(log_as, full);                                                                   \
    }                                                                                              \
    return done

int linkat(int from, const char *old, int to, const char *new, int flags)
{
    REAL(linkat)
    GIVE_NAME("link", "link", to, new, real(from, old, to, new, flags));
}

int link(const char *old, const char *new)
{
    return linkat(AT_FDCWD, old, AT_FDCWD, new, 0);
}

int symlinkat(const char *target, int to, const char *new)
{
    REAL(symlinkat)
    GIVE_NAME("symlink", "link", to, new, real(target, to, new));
}

int symlink(const char *target, const char *new)
{
    return symlinkat(target, AT_FDCWD, new);
}

int mkdirat(int from, const char *path, mode_t mode)
{
    REAL(mkdirat)
    GIVE_NAME("mkdir", "mkdir", from, path, real(from, path, mode));
}

int mkdir(const char *path, mode_t mode)
{
    return mkdirat(AT_FDCWD, path, mode);
}

int unlinkat(int from, const char *path, int flags)
{
    REAL(unlinkat)
    char full[PATH_MAX];
    if (!concerns(from, path, full)) {
        return real(from, path, flags);
    }
    if (fails("unlink", false)) {
        return -1;
    }
    const char *name;
    const unsigned long parent = parent_of(full, &name);
    const int done = real(from, path, flags);
    if (done == 0) {
        note("remove\t%lu\t%s\n", parent, name);
    }
    return done;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return unlinkat(AT_FDCWD, path, AT_REMOVEDIR);
}

int chmod(const char *path, mode_t mode)
{
    REAL(chmod)
    char full[PATH_MAX];
    return concerns(AT_FDCWD, path, full) && fails("chmod", true) ? -1 : real(path, mode);
}

int chown(const char *path, uid_t user, gid_t group)
{
    REAL(chown)
    char full[PATH_MAX];
    return concerns(AT_FDCWD, path, full) && fails("chown", true) ? -1 : real(path, user, group);
}

int utimensat(int from, const char *path, const struct timespec times[2], int flags)
{
    REAL(utimensat)
    char full[PATH_MAX];
    if (concerns(from, path, full) && fails("utimensat", true)) {
        return -1;
    }
    return real(from, path, times, flags);
}

DIR *opendir(const char *path)
{
    REAL(opendir)
    char full[PATH_MAX];
    return concerns(AT_FDCWD, path, full) && fails("opendir", false) ? NULL : real(path);
}

/* ---- for the test ------------------------------------------------------------------------------ */

/* Counts calls under `folder` (absolute, without links) from now on; call number `at` fails. */
void faults_begin(const char *folder, long at, int code, int how)
{
    snprintf(state.folder, sizeof state.folder, "%s", folder);
    state.n_folder = strlen(state.folder);
    state.count = 0;
    state.at = at;
    state.code = code;
    state.how = (enum how)how;
    state.failed[0] = '\0';
    state.n_log = 0;
    state.log[0] = '\0';
    state.on = true;
}

/* Lets everything through again; returns how many calls there were. */
long faults_end(void)
{
    state.on = false;
    return state.count;
}

/* Returns the name of the first call that failed; empty if none did. */
const char *faults_failed(void)
{
    return state.failed;
}

/* Returns what changed files and names: a line a change, fields between tabs. */
const char *faults_log(void)
{
    return state.log;
}
