package source

import "time"

// Hurry makes the store wait for no one, so that a test of failures takes no time.
func (s *Store) Hurry() { s.limits.firstWait, s.limits.mostWait = time.Millisecond, time.Millisecond }

// LimitBombs sets from where on an unpacked file counts as a bomb.
func (s *Store) LimitBombs(size, ratio int64) { s.limits.bombSize, s.limits.bombRatio = size, ratio }

var (
	ParseQCOW2 = parseQCOW2
	FindSum    = findSum
)
