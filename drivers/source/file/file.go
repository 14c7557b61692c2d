// Package file reads images from this machine. It never writes.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"vmplan.dev/vmplan/drivers/source"
)

// Source implements source.Source for file:///PATH and absolute paths.
type Source struct{}

// New makes a source.
func New() Source { return Source{} }

// Stat implements source.Source.
func (Source) Stat(_ context.Context, location string) (source.Info, error) {
	path, err := pathOf(location)
	if err != nil {
		return source.Info{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return source.Info{}, reason(err)
	}
	if !info.Mode().IsRegular() {
		return source.Info{}, errors.New("this is not a regular file")
	}
	return source.Info{
		Size: info.Size(), Path: path, Validator: fmt.Sprintf("%d bytes of %d", info.Size(), info.ModTime().UnixNano()),
	}, nil
}

// Open implements source.Source. It always starts at the beginning: seeking in a file saves no one anything.
func (s Source) Open(ctx context.Context, location string, _ source.Position) (io.ReadCloser, source.Info, error) {
	info, err := s.Stat(ctx, location)
	if err != nil {
		return nil, source.Info{}, err
	}
	f, err := os.Open(info.Path)
	if err != nil {
		return nil, source.Info{}, reason(err)
	}
	return f, info, nil
}

func pathOf(location string) (string, error) {
	if !strings.Contains(location, "://") {
		return filepath.Abs(location)
	}
	u, err := url.Parse(location)
	if err != nil {
		return "", err
	}
	if u.Host != "" && u.Host != "localhost" || u.Path == "" {
		return "", fmt.Errorf("a file's URL has three slashes before its path, and no host: file:///%s", strings.TrimPrefix(u.Host+u.Path, "/"))
	}
	return filepath.FromSlash(u.Path), nil
}

// reason leaves out the path, which the caller names.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
