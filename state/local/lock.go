package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"vmplan.dev/vmplan/state"
)

// holderPatience is how long a lock's holder may take to write down who it is.
const holderPatience = 2 * time.Second

// Lock implements state.Backend. The lock is the kernel's, on PATH.lock, and so ends with the process however it ends; the
// file's content only tells others who holds it.
func (b *Backend) Lock(ctx context.Context, info state.LockInfo) (state.Unlock, error) {
	path := b.path + ".lock"
	text, err := json.Marshal(info)
	if err != nil {
		return nil, fmt.Errorf("lock the state: %w", err)
	}
	for begun := time.Now(); ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR|noFollow), flock.SetPermissions(mode))
		got, err := l.TryLock()
		if err != nil {
			return nil, fmt.Errorf("lock the state: %w", err)
		}
		if got && isOn(l, path) {
			return hold(l, path, text)
		}
		if got { // its holder removed the file in between: this lock is on nothing
			_ = l.Close()
			continue
		}
		holder, ok := readHolder(path)
		if ok || time.Since(begun) > holderPatience {
			return nil, &state.LockedError{Holder: holder}
		}
		select { // the holder is just writing its name, or just going
		case <-ctx.Done():
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func hold(l *flock.Flock, path string, text []byte) (state.Unlock, error) {
	err := writeHolder(path, text)
	var once sync.Once
	var unlockErr error
	unlock := func() error {
		once.Do(func() {
			// Removed while it is held, so that nobody's lock is on a file that goes.
			unlockErr = os.Remove(path)
			if err := l.Close(); err != nil {
				unlockErr = err
			}
			if unlockErr != nil {
				unlockErr = fmt.Errorf("unlock the state: %w", unlockErr)
			}
		})
		return unlockErr
	}
	if err != nil {
		_ = unlock()
		return nil, fmt.Errorf("lock the state: %w", err)
	}
	return unlock, nil
}

// isOn tells whether the lock is on the file that path leads to now.
func isOn(l *flock.Flock, path string) bool {
	locked, err1 := l.Stat()
	there, err2 := os.Lstat(path)
	return err1 == nil && err2 == nil && os.SameFile(locked, there)
}

// Break implements state.Backend. The kernel holds the lock of a process that lives, and nobody else can give it back; all
// that can be left over is the file that names a dead holder.
func (b *Backend) Break(ctx context.Context, id string) (*state.LockInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	path := b.path + ".lock"
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	l := flock.New(path, flock.SetFlag(os.O_RDWR|noFollow), flock.SetPermissions(mode))
	defer l.Close()
	got, err := l.TryLock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("break the lock of the state: %w", err)
	}
	holder, _ := readHolder(path) // a file that names nobody has no id
	switch {
	case got && !isOn(l, path): // its holder gave it back in between
		return nil, nil
	case !got || id != "" && id != holder.ID:
		return nil, &state.LockedError{Holder: holder}
	}
	if err := os.Remove(path); err != nil {
		return nil, fmt.Errorf("break the lock of the state: %w", err)
	}
	return &holder, nil
}

func writeHolder(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC|noFollow, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func readHolder(path string) (info state.LockInfo, ok bool) {
	text, err := readNoFollow(path)
	if err != nil {
		return info, false
	}
	return info, json.Unmarshal(text, &info) == nil
}
