// Package standard is what an engine is made of by default, and needs no C library for: simulated hosts, state in a local file, and
// all sources of images. Hosts of libvirt are one line more:
//
//	parts := standard.Parts()
//	parts.Drivers["qemu"] = libvirt.Open
//
// It must not decide anything: it is the one list of what there is.
package standard

import (
	"log/slog"
	"maps"
	"slices"

	"vmplan.dev/vmplan/config"
	"vmplan.dev/vmplan/drivers"
	"vmplan.dev/vmplan/drivers/sim"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/file"
	"vmplan.dev/vmplan/drivers/source/glance"
	"vmplan.dev/vmplan/drivers/source/http"
	"vmplan.dev/vmplan/drivers/source/oci"
	"vmplan.dev/vmplan/drivers/source/vagrant"
	"vmplan.dev/vmplan/planner/engine"
	"vmplan.dev/vmplan/state"
	"vmplan.dev/vmplan/state/local"
)

// Parts gives new maps, to which a program adds its own drivers and backends.
func Parts() engine.Parts {
	return engine.Parts{
		Drivers: drivers.Registry{"sim": sim.Open},
		Backends: map[string]func(config.StateSettings) (state.Backend, error){
			"local": func(s config.StateSettings) (state.Backend, error) { return local.Open(s.Path) },
		},
		Images:   images,
		Registry: registries,
		Schemes:  slices.Sorted(maps.Keys(sources("."))),
		Defaults: sim.Defaults().HostDefaults,
		Example:  "qemu:///system",
	}
}

// registries are where images and appliances are got from and pushed to.
var registries = oci.New(oci.Options{})

// sources is the list of where bits can come from, by scheme. dir is the project's folder.
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
func images(settings engine.ImageSettings) (engine.ImageStore, error) {
	return source.NewStore(source.Options{
		Sources:   sources(settings.Dir),
		Strangers: strangers(),
		Dir:       settings.Dir,
		Named:     settings.Named,
		Log:       slog.Default(),
	})
}
