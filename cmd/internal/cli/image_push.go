package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/state"
)

// Registry puts images and appliances where others get them from.
type Registry interface {
	// PushImage puts a disk under location (a tag's), free of where it comes from: the same disk is the same image. What is
	// there already is not sent again, and a push that fails leaves the tag as it was. It gives the location of just that image.
	PushImage(ctx context.Context, location string, disk drivers.Bits, report func(drivers.Progress)) (string, error)
	// PushAppliance is PushImage for a parcel, with all its disks.
	PushAppliance(ctx context.Context, location string, p drivers.Parcel, report func(drivers.Progress)) (string, error)
	// PullAppliance reads a parcel, which may come from anybody: the names of its files are safe to write, what is in them is
	// not looked at. Of its disks it gives where they are.
	PullAppliance(ctx context.Context, location string) (drivers.Parcel, error)
}

func (a *App) imagePushCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "push ADDR REF",
		Short: "Push an image or a volume to an OCI registry",
		Long: `Pushes the disk of an image, volume or vm (image.debian, volume.data, vm.web.disk.root) to an OCI registry, as a containerDisk. KubeVirt
can run it, and image blocks can use it as their source. The contents come from the cache, or are read from the host. A vm that
writes to the disk must be off. Layers that the registry already has are not sent again.

REF is HOST/REPOSITORY:TAG, with or without oci:// in front. Use oci+http:// for a registry without TLS. Append ?arch=ARCH if the
disk is for another architecture than this machine. vmplan uses the logins of docker login and podman login.

The disk is pushed as it is, including host keys and a machine id that a guest wrote to it. Nothing else of the project is sent.`,
		Example: `  vmplan image push image.golden registry.example/team/golden:1
  vmplan image push vm.web.disk.root registry.example/team/web:1`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return a.runImagePush(c.Context(), args[0], args[1]) },
	}
}

func (a *App) runImagePush(ctx context.Context, name, ref string) (err error) {
	addr, err := resource.ParseAddr(name)
	if err != nil {
		return fmt.Errorf("ADDR: %w", err)
	}
	s, err := a.openRecorded(ctx, ".", projectOptions{}, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	r, err := s.recordedDisk(addr)
	if err != nil {
		return err
	}
	if err := s.Connect(); err != nil {
		return err
	}
	show := a.printer().Transfer(addr.String())
	at, err := s.pushDisk(ctx, r, location(ref), show.Report)
	show.Close()
	if err != nil {
		err = fmt.Errorf("%s: push to %s: %w", addr, ref, err)
		if errors.Is(err, drivers.ErrInUse) {
			return advise(err, "What a guest writes to would be torn. Shut the vm down first, with vmplan stop.")
		}
		return err
	}
	a.printer().Note(fmt.Sprintf("%s: pushed as %s", addr, at))
	return nil
}

// location is the reference of a registry's image as a location: with a scheme.
func location(ref string) string {
	if strings.Contains(ref, "://") {
		return ref
	}
	return "oci://" + ref
}

// recordedDisk finds the image or volume that is recorded under addr.
func (s *session) recordedDisk(addr resource.Addr) (resource.Resource, error) {
	rec := s.State().Records[addr]
	switch {
	case rec == nil:
		return nil, fmt.Errorf("%s is not in the state: see vmplan state list, or create it with vmplan apply", addr)
	case rec.Status != state.StatusReady:
		return nil, fmt.Errorf("%s is not complete: another apply goes on with it", addr)
	case resource.VolumeID(rec.Object) == "" || rec.Object.Kind() != resource.KindImage && rec.Object.Kind() != resource.KindVolume:
		return nil, fmt.Errorf("%s is no image and no volume; a vm's disks are %s.disk.NAME", addr, addr.Owner())
	}
	return rec.Object, nil
}

func (s *session) pushDisk(ctx context.Context, r resource.Resource, location string, report func(drivers.Progress)) (string, error) {
	bits, release, err := s.bitsOf(ctx, r, report)
	if err != nil {
		return "", err
	}
	at, err := s.app.Registry.PushImage(ctx, location, bits, report)
	return at, errors.Join(err, release())
}

// bitsOf gives a file with what an image or a volume holds: the cache's, or one read off the host, that release removes.
func (s *session) bitsOf(ctx context.Context, r resource.Resource, report func(drivers.Progress)) (bits drivers.Bits, release func() error, err error) {
	if img, ok := r.(*resource.Image); ok {
		if bits, ok := s.Images().Held(img.Digest); ok {
			return bits, func() error { return nil }, nil
		}
	}
	host := r.Base().Host
	reader, err := s.Able(host, drivers.AbilityReadVolumes)
	if err != nil {
		return bits, nil, err
	}
	f, release, err := s.Images().Scratch()
	if err != nil {
		return bits, nil, err
	}
	content, err := reader.ReadVolume(ctx, resource.VolumeID(r), f, report)
	info, statErr := f.Stat()
	if err := errors.Join(err, statErr, f.Close()); err != nil {
		return bits, nil, errors.Join(fmt.Errorf("host.%s: %w", host, err), release())
	}
	return drivers.Bits{Path: f.Name(), Format: content.Format, Size: info.Size(), VirtualSize: content.VirtualSize}, release, nil
}
