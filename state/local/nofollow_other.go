//go:build !unix

package local

// noFollow has no counterpart here.
const noFollow = 0
