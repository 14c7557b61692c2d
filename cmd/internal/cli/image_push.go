package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config/resource"
	"vmplan.dev/vmplan/drivers"
)

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
	r, err := s.RecordedDisk(addr)
	if err != nil {
		return err
	}
	if err := s.Connect(); err != nil {
		return err
	}
	show := a.printer().Transfer(addr.String())
	at, err := s.PushImage(ctx, r, location(ref), show.Report)
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
