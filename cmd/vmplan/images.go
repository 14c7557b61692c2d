package main

import (
	"log/slog"

	"vmplan.dev/vmplan/cmd/internal/cli"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/file"
	"vmplan.dev/vmplan/drivers/source/http"
	"vmplan.dev/vmplan/drivers/source/oci"
	"vmplan.dev/vmplan/drivers/source/vagrant"
)

// images makes a project's store of images, with the one list of where bits can come from, by scheme.
func images(settings cli.ImageSettings) (cli.ImageStore, error) {
	web := http.New(http.Options{})
	registries := oci.New(oci.Options{})
	sources := source.Registry{"http": web, "https": web, "file": file.New(), oci.Scheme: registries, oci.SchemePlain: registries}
	for _, scheme := range vagrant.Schemes {
		sources[scheme] = vagrant.New(sources)
	}
	return source.NewStore(source.Options{Sources: sources, Dir: settings.Dir, Pin: settings.Pin, Log: slog.Default()})
}
