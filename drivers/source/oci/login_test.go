package oci_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"vmplan.dev/vmplan/drivers/source"
	"vmplan.dev/vmplan/drivers/source/oci/ocitest"
)

var (
	position source.Position
	webTime  = time.Date(2020, time.May, 1, 12, 0, 0, 0, time.UTC)
)

// write puts a file below the user's home.
func (u *user) write(text string, name ...string) string {
	u.t.Helper()
	file := filepath.Join(append([]string{u.environ["HOME"]}, name...)...)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		u.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
		u.t.Fatal(err)
	}
	return file
}

func loginsText(key, name, password string) string {
	return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, key, base64.StdEncoding.EncodeToString([]byte(name+":"+password)))
}

// login does what docker login does.
func (u *user) login(host, name, password string) {
	u.write(loginsText(host, name, password), ".docker", "config.json")
}

// saysNothingOf looks through the log and the cache, but for the bits.
func (u *user) saysNothingOf(secret string) {
	u.t.Helper()
	if strings.Contains(u.said.String(), secret) {
		u.t.Errorf("the log has %q:\n%s", secret, u.said)
	}
	err := filepath.Walk(u.cache, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() || info.Size() > 64<<10 {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), secret) {
			u.t.Errorf("%s has %q", path, secret)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		u.t.Error(err)
	}
}

func TestLoginsOfDockerAndPodmanAreUsed(t *testing.T) {
	disk := bits(1<<20, "disk")
	const name, password = "joe", "s3cret-word"
	for _, tokens := range []bool{false, true} {
		reg := ocitest.Start(t, ocitest.Options{Users: map[string]string{name: password}, Tokens: tokens})
		reg.Artifact(t, "team/disks/x", "v1", map[string][]byte{"disk.raw": disk})
		for how, login := range map[string]func(u *user){
			"docker login": func(u *user) { u.login(reg.Host, name, password) },
			"DOCKER_CONFIG": func(u *user) {
				u.environ["DOCKER_CONFIG"] = filepath.Dir(u.write(loginsText(reg.Host, name, password), "elsewhere", "config.json"))
			},
			"REGISTRY_AUTH_FILE": func(u *user) {
				u.login(reg.Host, "jim", "wrong")
				u.environ["REGISTRY_AUTH_FILE"] = u.write(loginsText(reg.Host, name, password), "some.json")
			},
			"podman login": func(u *user) {
				u.environ["XDG_RUNTIME_DIR"] = u.environ["HOME"]
				u.login("other.example", "jim", "wrong")
				u.write(loginsText(reg.Host, name, password), "containers", "auth.json")
			},
			"podman login for a part of the registry": func(u *user) {
				u.write(fmt.Sprintf(`{"auths":{%q:{"auth":%q},%q:{"auth":"d3Jvbmc6d3Jvbmc="}}}`, reg.Host+"/team",
					base64.StdEncoding.EncodeToString([]byte(name+":"+password)), reg.Host), ".config", "containers", "auth.json")
			},
			"a credential helper for the registry": func(u *user) {
				u.write(fmt.Sprintf("#!/bin/sh\nread host\n[ \"$1 $host\" = 'get %s' ] && echo '{\"Username\":%q,\"Secret\":%q}'\n", reg.Host, name, password), "bin", "docker-credential-ours")
				u.t.Setenv("PATH", filepath.Join(u.environ["HOME"], "bin")+":"+os.Getenv("PATH"))
				u.write(fmt.Sprintf(`{"credHelpers":{%q:"ours"}}`, reg.Host), ".docker", "config.json")
			},
			"a credential helper for all": func(u *user) {
				u.write(fmt.Sprintf("#!/bin/sh\necho '{\"Username\":%q,\"Secret\":%q}'\n", name, password), "bin", "docker-credential-ours")
				u.t.Setenv("PATH", filepath.Join(u.environ["HOME"], "bin")+":"+os.Getenv("PATH"))
				u.write(`{"credsStore":"ours"}`, ".docker", "config.json")
			},
		} {
			t.Run(fmt.Sprintf("%s, tokens %v", how, tokens), func(t *testing.T) {
				u := newUser(t)
				login(u)
				u.mustGet("oci://"+reg.Host+"/team/disks/x:v1", disk)
				u.saysNothingOf(password)
			})
		}
		t.Run(fmt.Sprintf("none, tokens %v", tokens), func(t *testing.T) {
			newUser(t).mustNotGet("oci://"+reg.Host+"/team/disks/x:v1", "the registry wants a login", "docker login "+reg.Host)
		})
		t.Run(fmt.Sprintf("a wrong one, tokens %v", tokens), func(t *testing.T) {
			u := newUser(t)
			u.login(reg.Host, name, "s3cret-but-wrong")
			u.mustNotGet("oci://"+reg.Host+"/team/disks/x:v1", "the registry wants a login")
			u.saysNothingOf("s3cret")
		})
	}
}

func TestAHelperThatFailsIsNamedWithoutWhatItSays(t *testing.T) {
	reg := ocitest.Start(t, ocitest.Options{Users: map[string]string{"joe": "x"}})
	u := newUser(t)
	u.write("#!/bin/sh\necho s3cret-of-the-helper\nexit 1\n", "bin", "docker-credential-broken")
	t.Setenv("PATH", filepath.Join(u.environ["HOME"], "bin")+":"+os.Getenv("PATH"))
	file := u.write(`{"credsStore":"broken"}`, ".docker", "config.json")
	_, err := u.get("oci://" + reg.Host + "/x:v1")
	if err == nil || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("error %v, want one that names %s and nothing of the helper's", err, file)
	}
}
