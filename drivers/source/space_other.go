//go:build !unix

package source

import "math"

// diskSpace does not know the disk here: writing is what tells that it is full.
func diskSpace(string) (free, total int64, err error) { return math.MaxInt64, 0, nil }
