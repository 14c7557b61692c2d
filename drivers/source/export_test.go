package source

import (
	"bytes"
	"time"

	"vmplan.dev/vmplan/config/resource"
)

// Hurry makes the store wait for no one, so that a test of failures takes no time.
func (s *Store) Hurry() { s.limits.firstWait, s.limits.mostWait = time.Millisecond, time.Millisecond }

// LimitBombs sets from where on an unpacked file counts as a bomb.
func (s *Store) LimitBombs(size, ratio int64) { s.limits.bombSize, s.limits.bombRatio = size, ratio }

// End releases what the store uses, as the end of its process does.
func (s *Store) End() {
	s.inUse.mu.Lock()
	defer s.inUse.mu.Unlock()
	for digest, lock := range s.inUse.locks {
		lock.Close()
		delete(s.inUse.locks, digest)
	}
}

// Blob is the file of bits in the cache.
func (s *Store) Blob(digest string) string { return s.blob(digest) }

var (
	ParseQCOW2 = parseQCOW2
	FindSum    = findSum
)

// MemberNames gives the names of the files in a tar archive, as far as it can be read, and reads them.
func MemberNames(archive []byte) (names []string) {
	for m, err := range tarMembers(bytes.NewReader(archive)) {
		if err != nil {
			break
		}
		names = append(names, m.name)
		if _, err := m.body.Read(make([]byte, 512)); err != nil {
			continue
		}
	}
	return names
}

// ParseVMDK judges the beginning of a vmdk image.
func ParseVMDK(head []byte) (resource.Size, error) {
	return parseVMDK(bytes.NewReader(head), int64(len(head)))
}
