/*
 * Counts a process's allocations: loaded ahead of the C library, it adds one to a number in a shared file for every
 * call that asks for memory, then lets glibc do the work. The rig reads the file while the process runs.
 *
 * RIG_ALLOCATIONS names the file: 8 bytes, a native unsigned integer.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own entry points: going through them needs no dlsym, which allocates. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

/* Where the count goes until the file is mapped. */
static uint64_t early;
static uint64_t *count = &early;

__attribute__((constructor)) static void map_count(void)
{
    const char *path = getenv("RIG_ALLOCATIONS");
    if (path == NULL)
        return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return;
    void *mapped = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED)
        count = mapped;
}

static void add_one(void)
{
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

void *malloc(size_t size)
{
    add_one();
    return __libc_malloc(size);
}

void *calloc(size_t number, size_t size)
{
    add_one();
    return __libc_calloc(number, size);
}

void *realloc(void *old, size_t size)
{
    add_one();
    return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
    add_one();
    return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size)
{
    void *memory = memalign(alignment, size);
    if (memory == NULL)
        return ENOMEM;
    *result = memory;
    return 0;
}
