package source

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
)

const sumsLimit = 4 << 20 // bytes of a sums file; Ubuntu's are a few KB

// sum is a checksum of a file as it is downloaded. The zero sum is "none asked for".
type sum struct{ Algo, Hex string }

func (s sum) String() string { return s.Algo + ":" + s.Hex }

// digits are the lengths in hex of the checksums in use; the first ones are too weak to be trusted.
var digits = []struct {
	algo string
	n    int
	weak bool
}{{"md5", 32, true}, {"sha1", 40, true}, {"sha256", 64, false}, {"sha512", 128, false}}

// parseChecksum reads the checksum of an image block: a sum, or (location is then true) where a file of sums is.
func parseChecksum(text string) (s sum, location bool, err error) {
	algo, number, ok := strings.Cut(text, ":")
	algo = strings.ToLower(algo)
	if !ok || strings.HasPrefix(number, "//") || strings.Contains(algo, "/") {
		if isHex(text) && len(text) >= 32 {
			return sum{}, false, fmt.Errorf("checksum %q lacks its kind: write it as \"sha256:…\" or \"sha512:…\"", text)
		}
		return sum{}, true, nil
	}
	for _, d := range digits {
		switch {
		case d.algo != algo:
		case d.weak:
			return sum{}, false, fmt.Errorf("checksum %q: %s can be forged: use sha256 or sha512", text, algo)
		case len(number) != d.n || !isHex(number):
			return sum{}, false, fmt.Errorf("checksum %q: %s has %d hexadecimal digits", text, algo, d.n)
		default:
			return sum{algo, strings.ToLower(number)}, false, nil
		}
	}
	return sum{}, false, fmt.Errorf("checksum %q: there is no kind %q: use sha256:HEX, sha512:HEX or the URL of a file of sums", text, algo)
}

func isHex(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && s != ""
}

var (
	coreutilsLine = regexp.MustCompile(`^\\?([0-9a-fA-F]{32,128}) [ *](.+)$`)
	bsdLine       = regexp.MustCompile(`^([A-Za-z0-9-]+) ?\((.+)\) ?= ?([0-9a-fA-F]{32,128})$`)
	bareLine      = regexp.MustCompile(`^[0-9a-fA-F]{32,128}$`)
)

// findSum looks for the file called name in the text of a sums file: lines as coreutils (HEX  NAME) or BSD (SHA256 (NAME) =
// HEX) write them, other lines aside, or one bare sum alone. The strongest of several kinds counts.
func findSum(text, name string) (sum, error) {
	var best sum
	bestRank, lines, bare := -1, 0, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" {
			continue
		}
		lines++
		s, file := parseSumLine(line)
		if file == "" && bareLine.MatchString(line) {
			bare = line
		}
		rank := sumRank(s)
		if path.Base(file) != name || rank < bestRank || rank < 0 {
			continue
		}
		if rank == bestRank && s != best {
			return sum{}, fmt.Errorf("names %q twice, with different sums", name)
		}
		best, bestRank = s, rank
	}
	if lines == 1 && bare != "" {
		best = sumOfLength(bare)
		bestRank = sumRank(best)
	}
	if bestRank < 0 {
		return sum{}, fmt.Errorf("does not name %q", name)
	}
	if digits[bestRank].weak {
		return sum{}, fmt.Errorf("has only %s sums, which can be forged: sha256 or sha512 is needed", best.Algo)
	}
	return best, nil
}

// onlySum gives the sum of a file of sums that holds one, and a trusted one.
func onlySum(text string) (only sum, ok bool) {
	for line := range strings.Lines(text) {
		if s, _ := parseSumLine(strings.TrimRight(line, " \t\r\n")); s != (sum{}) {
			if ok {
				return sum{}, false
			}
			only, ok = s, true
		}
	}
	return only, ok && !digits[sumRank(only)].weak
}

func parseSumLine(line string) (s sum, file string) {
	if m := coreutilsLine.FindStringSubmatch(line); m != nil {
		file = m[2]
		if line[0] == '\\' {
			file = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(file)
		}
		return sumOfLength(m[1]), file
	}
	if m := bsdLine.FindStringSubmatch(line); m != nil {
		s = sumOfLength(m[3])
		if strings.EqualFold(s.Algo, strings.ReplaceAll(m[1], "-", "")) {
			return s, m[2]
		}
	}
	return sum{}, ""
}

func sumOfLength(number string) sum {
	for _, d := range digits {
		if d.n == len(number) {
			return sum{d.algo, strings.ToLower(number)}
		}
	}
	return sum{}
}

// sumRank is the place of the sum's kind in digits, -1 for none.
func sumRank(s sum) int {
	for i, d := range digits {
		if d.algo == s.Algo {
			return i
		}
	}
	return -1
}

// expected is the sum that the file at location must have, the zero sum when the image has no checksum. A file of sums is
// read afresh each time: it is what the user trusts.
func (s *Store) expected(ctx context.Context, checksum, location string, tries int) (sum, error) {
	if checksum == "" {
		return sum{}, nil
	}
	want, elsewhere, err := parseChecksum(checksum)
	if err != nil || !elsewhere {
		return want, err
	}
	sums, _ := s.locate(checksum)
	src, err := s.options.Sources.find(sums)
	if err != nil {
		return sum{}, fmt.Errorf("checksum: %w", err)
	}
	var text []byte
	err = s.retry(ctx, tries, func() (bool, error) {
		body, _, err := src.Open(ctx, sums, Position{})
		if err != nil {
			return false, err
		}
		defer body.Close()
		text, err = io.ReadAll(io.LimitReader(body, sumsLimit+1))
		if err != nil {
			return false, Retry(err, 0)
		}
		return true, nil
	})
	if err == nil && len(text) > sumsLimit {
		err = fmt.Errorf("is larger than %d MiB", sumsLimit>>20)
	}
	if err == nil {
		want, err = findSum(string(text), fileName(location))
		if only, alone := onlySum(string(text)); err != nil && alone && strings.HasPrefix(fileName(sums), fileName(location)+".") {
			want, err = only, nil // NAME.sha256 is about NAME, also when it calls it as it was called when it was built
		}
	}
	if err != nil {
		return sum{}, fmt.Errorf("file of sums %s: %w", Display(sums), err)
	}
	return want, nil
}
