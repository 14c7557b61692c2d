package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/atomicfile"
	"vmplan.dev/vmplan/config/catalogue"
	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

type imagePullOptions struct {
	projectOptions
	write string
}

func (a *App) imagePullCommand() *cobra.Command {
	var o imagePullOptions
	c := &cobra.Command{
		Use:   "pull ADDR|REF",
		Short: "Download an image into the cache or a file",
		Long: `Downloads, checks and unpacks an image into the cache, as apply does. The argument is an image block (image.debian) or any source
that such a block can have: HOST/REPOSITORY:TAG or oci://… for a registry, or https://…. With --write, also writes the disk to a file.
No host is contacted.`,
		Example: `  vmplan image pull image.debian
  vmplan image pull quay.io/containerdisks/debian:12 --write debian.qcow2`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.runImagePull(c.Context(), args[0], o) },
	}
	o.projectOptions.addTo(c.Flags())
	c.Flags().StringVar(&o.write, "write", "", "write the disk to `FILE`, which must not exist")
	return c
}

func (a *App) runImagePull(ctx context.Context, what string, o imagePullOptions) error {
	if o.write != "" {
		if _, err := os.Lstat(o.write); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("--write %s: it exists already, and is not overwritten", o.write)
		}
	}
	img, images, err := a.imageToPull(ctx, what, o.projectOptions)
	if err != nil {
		return err
	}
	show := a.printer().Transfer(what)
	bits, err := images.Fetch(ctx, img, show.Report)
	show.Close()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s, a disk of %s, %s", bits.Format, bits.VirtualSize, bits.Digest)
	if o.write == "" {
		a.printer().Note(fmt.Sprintf("%s: in the cache: %s", what, text))
		return nil
	}
	err = atomicfile.CreateFrom(o.write, 0o644, func(f *os.File) error { return copySparse(ctx, bits.Path, f) })
	if err != nil {
		return fmt.Errorf("--write %s: %w", o.write, err)
	}
	a.printer().Note(fmt.Sprintf("Wrote %s: %s", o.write, text))
	return nil
}

// imageToPull finds the image that an argument names: a block of the project, or a source.
func (a *App) imageToPull(ctx context.Context, what string, o projectOptions) (*resource.Image, drivers.ImageStore, error) {
	addr, err := resource.ParseAddr(what)
	if err != nil || addr.Kind != resource.KindImage {
		s, err := a.parse(".", o) // there need not be a project
		if err != nil {
			return nil, nil, err
		}
		if catalogue.IsName(what) {
			if _, err := s.Files().Catalogue().Find(what); err != nil {
				return nil, nil, advise(err, "What there is: vmplan image list --catalogue. A file is written with its folder: ./"+what)
			}
		}
		images, err := s.ImageStore()
		return &resource.Image{Source: sourceOf(what)}, images, err
	}
	s, err := a.openLoaded(ctx, o, lockOptions{})
	if err != nil {
		return nil, nil, err
	}
	if err := s.Close(); err != nil {
		return nil, nil, err
	}
	img, ok := s.Config().Set.Get(addr).(*resource.Image)
	if !ok {
		return nil, nil, fmt.Errorf("there is no %s in the files%s", addr, knownImages(s.Config().Set))
	}
	images, err := s.ImageStore()
	return img, images, err
}

// knownImages ends a message about an image that is not there with those that are.
func knownImages(set *resource.Set) string {
	var known []string
	for img := range resource.Of[*resource.Image](set) {
		known = append(known, img.Addr.String())
	}
	if len(known) == 0 {
		return ", nor any other image"
	}
	return "; they have " + strings.Join(known, ", ")
}

// sourceOf is an argument as the source of an image: what has a folder and is no file is in a registry.
func sourceOf(what string) string {
	if _, err := os.Stat(what); err == nil || !strings.Contains(what, "/") || filepath.IsAbs(what) || strings.HasPrefix(what, ".") {
		return what
	}
	return location(what)
}

// copySparse copies the file from into out, and leaves holes where there are only zeros.
func copySparse(ctx context.Context, from string, out *os.File) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	block, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	var at int64
	for ctx.Err() == nil {
		n, err := io.ReadFull(in, block)
		if n > 0 && !bytes.Equal(block[:n], zeros[:n]) {
			if _, err := out.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return out.Truncate(at)
		case err != nil:
			return err
		}
	}
	return context.Cause(ctx)
}
