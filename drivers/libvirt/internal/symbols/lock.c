//go:build libvirt_dlopen && linux

#include <pthread.h>
#include <stdbool.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long seen;

/* Held for the look-up only, never for the call itself. */
#define LOCKED(look_up)                                                                              \
	bool __real_##look_up(const char *name, void **symbol, bool *once, bool *success, void *err);    \
	bool __wrap_##look_up(const char *name, void **symbol, bool *once, bool *success, void *err)     \
	{                                                                                                \
		pthread_mutex_lock(&lock);                                                                   \
		bool found = __real_##look_up(name, symbol, once, success, err);                             \
		seen++;                                                                                      \
		pthread_mutex_unlock(&lock);                                                                 \
		return found;                                                                                \
	}

LOCKED(libvirtSymbol)
LOCKED(libvirtQemuSymbol)

unsigned long vmplan_symbols_seen(void)
{
	pthread_mutex_lock(&lock);
	unsigned long n = seen;
	pthread_mutex_unlock(&lock);
	return n;
}
