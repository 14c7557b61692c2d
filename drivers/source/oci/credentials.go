package oci

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/credentials"
)

// loginFiles are where docker login and podman login keep logins, in the order they count. A variable that names a file
// goes before the usual places.
func loginFiles(getenv func(string) string) []string {
	var files []string
	add := func(dir string, name ...string) {
		if dir != "" {
			files = append(files, filepath.Join(append([]string{dir}, name...)...))
		}
	}
	home := getenv("HOME")
	if home == "" {
		home, _ = os.UserHomeDir()
	}
	add(getenv("REGISTRY_AUTH_FILE"))
	if dir := getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(home, ".docker", "config.json")
	}
	add(getenv("XDG_RUNTIME_DIR"), "containers", "auth.json")
	if config := getenv("XDG_CONFIG_HOME"); config != "" {
		add(config, "containers", "auth.json")
	} else {
		add(home, ".config", "containers", "auth.json")
	}
	return files
}

// login finds the login for a repository: the first file that has one. Podman's may have one for a part of a registry, so
// the longest part is asked for first. Credential helpers (docker-credential-NAME) are asked where a file says so.
func login(ctx context.Context, files []string, host, repository string) (auth.Credential, error) {
	for _, file := range files {
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		found, err := loginIn(ctx, file, host, repository)
		switch {
		case ctx.Err() != nil:
			return auth.EmptyCredential, context.Cause(ctx)
		case err != nil:
			// The error's text may be a helper's output, and that may hold anything.
			return auth.EmptyCredential, fmt.Errorf("the login for %s in %s, or the credential helper named there, does not work: try docker login %s", host, file, host)
		case found != auth.EmptyCredential:
			return found, nil
		}
	}
	return auth.EmptyCredential, nil
}

func loginIn(ctx context.Context, file, host, repository string) (auth.Credential, error) {
	plain, err := credentials.NewFileStore(file)
	if err != nil {
		return auth.EmptyCredential, err
	}
	for part := repository; part != "" && part != "."; part = path.Dir(part) {
		if found, err := plain.Get(ctx, host+"/"+part); err != nil || found != auth.EmptyCredential {
			return found, err
		}
	}
	store, err := credentials.NewStore(file, credentials.StoreOptions{})
	if err != nil {
		return auth.EmptyCredential, err
	}
	found, err := store.Get(ctx, credentials.ServerAddressFromHostname(host))
	if err == nil && found == auth.EmptyCredential && host == dockerHost {
		found, err = plain.Get(ctx, "docker.io") // as Podman calls it
	}
	return found, err
}

// dockerHost serves what is called docker.io.
const dockerHost = "registry-1.docker.io"
