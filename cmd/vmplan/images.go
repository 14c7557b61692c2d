package main

import (
	"log/slog"

	"vmplan.dev/vmplan/cmd/internal/cli"
	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/file"
	"vmplan.dev/vmplan/drivers/source/http"
	"vmplan.dev/vmplan/drivers/source/oci"
)

// images makes the store of images for a project's folder, with the one list of where bits can come from, by scheme.
func images(dir string) (cli.ImageStore, error) {
	web := http.New(http.Options{})
	registries := oci.New(oci.Options{})
	return source.NewStore(source.Options{
		Sources: source.Registry{"http": web, "https": web, "file": file.New(), oci.Scheme: registries, oci.SchemePlain: registries},
		Dir:     dir,
		Log:     slog.Default(),
	})
}
