/* Records what a process does to the files of one folder: preloaded (LD_PRELOAD) into the process under test.
 *
 * Environment: DBMAIL_RECORD_FOLDER, an absolute path; DBMAIL_RECORD_LOG, the file to append to, elsewhere.
 *
 * The log is a row of records: kind (1 octet), file number (4), offset (8), length (8), then `length` octets; little-endian.
 *   N  a name: this file number is the file of the name in the octets, as it is now
 *   C  the same, and the file was made by this open
 *   W  octets were written at the offset
 *   T  the file was cut or grown to the offset
 *   s  a sync of the file begins;  S  it is done (offset: 1 when it failed)
 *   d  a sync of the folder begins; D  it is done
 *   U  the name in the octets was removed
 * Writes are recorded when they are done, under the lock that orders them: what stands before an `s` was with the
 * system before that sync was asked for. Maps (-shm) are not recorded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define FDS 65536
#define FOLDER_FILE 0xffffffffu

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint32_t file_of[FDS]; /* by descriptor: file number plus 1, 0 is none of ours */
static uint32_t last_file;
static struct { dev_t dev; ino_t ino; uint32_t file; } known[4096];
static uint32_t known_count;
static int log_fd = -1;
static const char *folder;
static size_t folder_length;

#define REAL(type, name, ...) typedef type (*name##_fn)(__VA_ARGS__); static name##_fn real_##name
REAL(int, open64, const char *, int, ...);
REAL(int, openat64, int, const char *, int, ...);
REAL(int, close, int);
REAL(ssize_t, write, int, const void *, size_t);
REAL(ssize_t, pwrite64, int, const void *, size_t, off64_t);
REAL(int, ftruncate64, int, off64_t);
REAL(int, fsync, int);
REAL(int, fdatasync, int);
REAL(int, unlink, const char *);

static void begin(void) {
    real_open64 = (open64_fn)dlsym(RTLD_NEXT, "open64");
    real_openat64 = (openat64_fn)dlsym(RTLD_NEXT, "openat64");
    real_close = (close_fn)dlsym(RTLD_NEXT, "close");
    real_write = (write_fn)dlsym(RTLD_NEXT, "write");
    real_pwrite64 = (pwrite64_fn)dlsym(RTLD_NEXT, "pwrite64");
    real_ftruncate64 = (ftruncate64_fn)dlsym(RTLD_NEXT, "ftruncate64");
    real_fsync = (fsync_fn)dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (fdatasync_fn)dlsym(RTLD_NEXT, "fdatasync");
    real_unlink = (unlink_fn)dlsym(RTLD_NEXT, "unlink");
    folder = getenv("DBMAIL_RECORD_FOLDER");
    const char *path = getenv("DBMAIL_RECORD_LOG");
    if (folder == NULL || path == NULL) {
        return;
    }
    folder_length = strlen(folder);
    log_fd = real_open64(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_fd < 0) {
        abort();
    }
}

static void start(void) { pthread_once(&once, begin); }

static void put(const void *octets, size_t length) {
    const char *at = octets;
    while (length > 0) {
        ssize_t n = real_write(log_fd, at, length);
        if (n <= 0) {
            abort(); /* a record that is not whole would make a wrong test */
        }
        at += n;
        length -= (size_t)n;
    }
}

/* Under the lock. */
static void record(char kind, uint32_t file, uint64_t offset, const void *octets, uint64_t length) {
    unsigned char head[21];
    head[0] = (unsigned char)kind;
    memcpy(head + 1, &file, 4);
    memcpy(head + 5, &offset, 8);
    memcpy(head + 13, &length, 8);
    put(head, sizeof head);
    put(octets, length);
}

/* The name within the folder, "" for the folder itself, NULL for what is none of ours. */
static const char *ours(const char *path) {
    if (log_fd < 0 || strncmp(path, folder, folder_length) != 0) {
        return NULL;
    }
    const char *rest = path + folder_length;
    if (*rest == '\0') {
        return rest;
    }
    size_t length = strlen(rest);
    int shared_memory = length >= 4 && strcmp(rest + length - 4, "-shm") == 0;
    return *rest == '/' && !shared_memory ? rest + 1 : NULL;
}

/* Under the lock. */
static void opened(int fd, const char *name, int made) {
    if (fd < 0 || fd >= FDS) {
        abort();
    }
    if (*name == '\0') {
        file_of[fd] = FOLDER_FILE;
        return;
    }
    struct stat status;
    if (fstat(fd, &status) != 0) {
        abort();
    }
    uint32_t file = 0;
    for (uint32_t i = 0; i < known_count; i++) {
        if (known[i].dev == status.st_dev && known[i].ino == status.st_ino && !made) {
            file = known[i].file;
        }
    }
    if (file == 0) {
        file = ++last_file;
        if (known_count == sizeof known / sizeof known[0]) {
            abort();
        }
        /* An inode number may come again for another file. */
        uint32_t i = 0;
        while (i < known_count && (known[i].dev != status.st_dev || known[i].ino != status.st_ino)) {
            i++;
        }
        known[i].dev = status.st_dev;
        known[i].ino = status.st_ino;
        known[i].file = file;
        known_count += i == known_count;
        record(made ? 'C' : 'N', file, 0, name, strlen(name));
    }
    file_of[fd] = file + 1;
}

static int do_open(int at, const char *path, int flags, mode_t mode) {
    start();
    const char *name = at == AT_FDCWD || path[0] == '/' ? ours(path) : NULL;
    if (name == NULL) {
        return real_openat64(at, path, flags, mode);
    }
    pthread_mutex_lock(&lock);
    int was_there = access(path, F_OK) == 0;
    int fd = real_openat64(at, path, flags, mode);
    if (fd >= 0) {
        opened(fd, name, !was_there);
        if (was_there && (flags & O_TRUNC) != 0) {
            record('T', file_of[fd] - 1, 0, NULL, 0);
        }
    }
    pthread_mutex_unlock(&lock);
    return fd;
}

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if (((flags) & O_CREAT) != 0) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) { MODE(flags, mode) return do_open(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, mode) return do_open(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags, mode) return do_open(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE(flags, mode) return do_open(at, path, flags, mode); }

int close(int fd) {
    start();
    if (fd >= 0 && fd < FDS && file_of[fd] != 0) {
        pthread_mutex_lock(&lock);
        file_of[fd] = 0;
        int result = real_close(fd);
        pthread_mutex_unlock(&lock);
        return result;
    }
    return real_close(fd);
}

static int tracked(int fd) { return fd >= 0 && fd < FDS && file_of[fd] != 0 && file_of[fd] != FOLDER_FILE; }

ssize_t write(int fd, const void *octets, size_t length) {
    start();
    if (!tracked(fd)) {
        return real_write(fd, octets, length);
    }
    pthread_mutex_lock(&lock);
    off64_t offset;
    if ((fcntl(fd, F_GETFL) & O_APPEND) != 0) {
        offset = lseek64(fd, 0, SEEK_END);
    } else {
        offset = lseek64(fd, 0, SEEK_CUR);
    }
    ssize_t n = real_write(fd, octets, length);
    if (n > 0) {
        record('W', file_of[fd] - 1, (uint64_t)offset, octets, (uint64_t)n);
    }
    pthread_mutex_unlock(&lock);
    return n;
}

ssize_t pwrite64(int fd, const void *octets, size_t length, off64_t offset) {
    start();
    if (!tracked(fd)) {
        return real_pwrite64(fd, octets, length, offset);
    }
    pthread_mutex_lock(&lock);
    ssize_t n = real_pwrite64(fd, octets, length, offset);
    if (n > 0) {
        record('W', file_of[fd] - 1, (uint64_t)offset, octets, (uint64_t)n);
    }
    pthread_mutex_unlock(&lock);
    return n;
}
ssize_t pwrite(int fd, const void *octets, size_t length, off_t offset) { return pwrite64(fd, octets, length, offset); }

int ftruncate64(int fd, off64_t length) {
    start();
    if (!tracked(fd)) {
        return real_ftruncate64(fd, length);
    }
    pthread_mutex_lock(&lock);
    int result = real_ftruncate64(fd, length);
    if (result == 0) {
        record('T', file_of[fd] - 1, (uint64_t)length, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return result;
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

static int do_sync(int fd, int (*real)(int)) {
    if (fd < 0 || fd >= FDS || file_of[fd] == 0) {
        return real(fd);
    }
    int whole_folder = file_of[fd] == FOLDER_FILE;
    uint32_t file = whole_folder ? 0 : file_of[fd] - 1;
    pthread_mutex_lock(&lock);
    record(whole_folder ? 'd' : 's', file, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    int result = real(fd);
    pthread_mutex_lock(&lock);
    record(whole_folder ? 'D' : 'S', file, result != 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return result;
}
int fsync(int fd) { start(); return do_sync(fd, real_fsync); }
int fdatasync(int fd) { start(); return do_sync(fd, real_fdatasync); }

int unlink(const char *path) {
    start();
    const char *name = ours(path);
    if (name == NULL || *name == '\0') {
        return real_unlink(path);
    }
    pthread_mutex_lock(&lock);
    int result = real_unlink(path);
    if (result == 0) {
        record('U', 0, 0, name, strlen(name));
    }
    pthread_mutex_unlock(&lock);
    return result;
}

/* What is not recorded must not happen unseen. */
int rename(const char *from, const char *to) {
    start();
    static int (*real)(const char *, const char *);
    real = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    if (ours(from) != NULL || ours(to) != NULL) {
        abort();
    }
    return real(from, to);
}
