package state

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/user"
	"strings"
	"time"
)

// NewLockInfo describes this process as a holder that is about to do operation.
func NewLockInfo(operation string) LockInfo {
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		who += "@" + host
	}
	return LockInfo{ID: rand.Text(), Who: who, PID: os.Getpid(), Boot: bootID(), Operation: operation, Since: time.Now().UTC().Truncate(time.Second)}
}

// bootID names this machine's current boot, or is empty where that cannot be told.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// LockWait takes the lock, and while somebody else holds it tries again until timeout is over; then the error is the
// *LockedError. notify, which may be nil, is told of each new holder that is waited for.
func LockWait(ctx context.Context, b Backend, info LockInfo, timeout time.Duration, notify func(*LockedError)) (Unlock, error) {
	deadline := time.Now().Add(timeout)
	holder := ""
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		unlock, err := b.Lock(ctx, info)
		var locked *LockedError
		if !errors.As(err, &locked) {
			return unlock, err
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, err
		}
		if notify != nil && holder != locked.Holder.ID {
			notify(locked)
		}
		holder = locked.Holder.ID
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(min(pause, left)):
		}
	}
}
