package main

import (
	"log/slog"

	"vmplan.dev/vmplan/cmd/internal/cli"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/file"
	"vmplan.dev/vmplan/drivers/source/glance"
	"vmplan.dev/vmplan/drivers/source/http"
	"vmplan.dev/vmplan/drivers/source/oci"
	"vmplan.dev/vmplan/drivers/source/vagrant"
)

// registries are where images are got from and pushed to.
var registries = oci.New(oci.Options{})

// sources is the one list of where bits can come from, by scheme. dir is the project's folder.
func sources(dir string) source.Registry {
	web := http.New(http.Options{})
	all := source.Registry{
		"file": file.New(),
		"http": web, "https": web,
		oci.Scheme: registries, oci.SchemePlain: registries,
	}
	clouds := glance.New(glance.Options{Dir: dir})
	for _, scheme := range glance.Schemes {
		all[scheme] = clouds
	}
	for _, scheme := range vagrant.Schemes {
		all[scheme] = vagrant.New(all)
	}
	return all
}

// strangers are the sources of what may come from anybody: without logins, and without what only this machine and its network reach.
func strangers() source.Registry {
	registries := oci.New(oci.Options{Anonymous: true})
	return source.Registry{
		"https": http.New(http.Options{Transport: http.Public()}), oci.Scheme: registries, oci.SchemePlain: registries,
	}
}

// images makes a project's store of images.
func images(settings cli.ImageSettings) (cli.ImageStore, error) {
	return source.NewStore(source.Options{
		Sources:   sources(settings.Dir),
		Strangers: strangers(),
		Dir:       settings.Dir,
		Named:     settings.Named,
		Log:       slog.Default(),
	})
}
