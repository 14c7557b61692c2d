package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"vmplan.dev/vmplan/config"
)

// applianceCommand holds the commands about appliances.
func (a *App) applianceCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "appliance",
		Short: "Share appliances through OCI registries",
		Long:  `Pushes an appliance block to an OCI registry, or pulls one from there into the project.`,
		Example: `  vmplan appliance push appliance.shop registry.example/team/shop:1
  vmplan appliance pull registry.example/team/shop:1`,
	}
	c.AddCommand(a.appliancePullCommand(), a.appliancePushCommand())
	return c
}

func (a *App) appliancePushCommand() *cobra.Command {
	var o projectOptions
	c := &cobra.Command{
		Use:   "push ADDR REF",
		Short: "Push an appliance to an OCI registry",
		Long: `Pushes an appliance block to an OCI registry, together with the disks of its images, the instancetypes, preferences and locals
that it names, and the files that it reads. Disks come from the cache, or are read from the host. Layers that the registry
already has are not sent again. The tag is written last.

An appliance cannot use networks, variables or other files of the project: vmplan reports an error. Move them into the appliance,
or make them parameters. The names, addresses and state of the project are never sent.

REF is HOST/REPOSITORY:TAG, with or without oci:// in front. Use oci+http:// for a registry without TLS. vmplan uses the logins
of docker login and podman login.`,
		Example: `  vmplan appliance push appliance.shop registry.example/team/shop:1`,
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.runAppliancePush(c.Context(), args[0], args[1], o)
		},
	}
	o.addTo(c.Flags())
	return c
}

func (a *App) runAppliancePush(ctx context.Context, name, ref string, o projectOptions) error {
	label, err := applianceName(name)
	if err != nil {
		return err
	}
	s, err := a.openLoaded(ctx, o, lockOptions{})
	if err != nil {
		return err
	}
	defer s.Close()
	packed, diags := s.Files().Pack(label)
	a.printer().Diagnostics(diags, s.Files().Files())
	if diags.HasErrors() {
		return exitError{ExitError}
	}
	if err := s.Connect(); err != nil {
		return err
	}
	// Said before anything leaves this machine, while there is time to interrupt it.
	for _, file := range slices.Sorted(maps.Keys(packed.Files)) {
		if file != config.PackedFile {
			a.printer().Note(fmt.Sprintf("%s: with the file %s", name, file))
		}
	}
	for _, disk := range slices.Sorted(maps.Keys(packed.Disks)) {
		a.printer().Note(fmt.Sprintf("%s: with the disk of %s", name, packed.Disks[disk]))
	}
	show := a.printer().Transfer(name)
	at, err := s.PushAppliance(ctx, packed, location(ref), show.Report)
	show.Close()
	if err != nil {
		return fmt.Errorf("%s: push to %s: %w", name, ref, err)
	}
	a.printer().Note(fmt.Sprintf("%s: pushed as %s", name, at))
	return nil
}

// applianceName reads appliance.NAME.
func applianceName(text string) (string, error) {
	label, ok := strings.CutPrefix(text, "appliance.")
	if !ok || !config.ValidLabel(label) {
		return "", fmt.Errorf("ADDR %s: write appliance.NAME", text)
	}
	return label, nil
}
