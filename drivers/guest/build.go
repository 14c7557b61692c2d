package guest

import (
	"archive/tar"
	"bytes"
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"vmplan.dev/vmplan/config/resource"
)

// Labels of the disks of a guest that builds an image, by which its script finds them.
const (
	StepsDisk  = "vmplan-steps"  // read-only: Building.Steps
	ResultDisk = "vmplan-result" // at least ResultSize zeros
)

// ResultSize is how much of the result disk is written and read, in bytes.
const ResultSize = 64 << 10

//go:embed build/bootstrap.sh
var bootstrapScript string

//go:embed build/main.sh
var mainScript string

// builderConfig keeps cloud-init from making the guest that builds another one than it was.
const builderConfig = "#cloud-config\npreserve_hostname: true\nssh_deletekeys: false\nusers: []\n"

// Building is what a guest that builds an image is given.
type Building struct {
	// Seed is what its cloud-init is told: to do what is on the disk with the label StepsDisk.
	Seed resource.Seed
	// Steps is that disk: a tar archive, a multiple of 512 bytes long. It may hold secrets.
	Steps []byte
	// Names are the steps that the guest tells of, in order.
	Names []string
}

// NewBuilding writes down what builds and seals img: user data, and a script with the files and commands that it needs. Equal
// images give equal bytes. A secret that was decoded and not revealed is an error.
func NewBuilding(img *resource.Image) (Building, error) {
	b := &building{}
	b.out = tar.NewWriter(&b.bytes)
	err := b.write(img)
	if err == nil {
		err = b.out.Close()
	}
	if err != nil {
		return Building{}, fmt.Errorf("%s: write the steps of its build: %w", img.Addr, err)
	}
	secret := func(text string) resource.Secret { return resource.NewSecret(text, nil) }
	return Building{
		Seed: resource.Seed{
			UserData: secret(bootstrapScript), VendorData: secret(builderConfig),
			MetaData: secret("instance-id: vmplan-build-" + img.Stem() + "\n"),
		},
		Steps: b.bytes.Bytes(), Names: b.names,
	}, nil
}

type building struct {
	bytes  bytes.Buffer
	out    *tar.Writer
	script strings.Builder
	names  []string
}

func (b *building) write(img *resource.Image) error {
	b.script.WriteString(mainScript)
	if build := img.Build; build != nil {
		if err := b.copy(build.Files); err != nil {
			return err
		}
		if err := b.run("run", build.Commands); err != nil {
			return err
		}
	}
	if seal := img.Seal; seal != nil {
		if err := b.seal(seal); err != nil {
			return err
		}
	}
	b.script.WriteString("off done\n")
	return b.member("main", b.script.String())
}

// step has the script take a step. No text of the user's is among the arguments.
func (b *building) step(name string, command ...string) {
	b.names = append(b.names, name)
	fmt.Fprintf(&b.script, "step '%s' %s\n", name, strings.Join(command, " "))
}

func (b *building) run(what string, commands []resource.Command) error {
	for i := range commands {
		text, ok := commands[i].Clear()
		if !ok {
			return fmt.Errorf("%s %d is known only by its hash: load the project's files again to have its text", what, i+1)
		}
		file := strings.ReplaceAll(what, " ", "-") + "-" + strconv.Itoa(i+1)
		if err := b.member(file, text+"\n"); err != nil {
			return err
		}
		b.step(fmt.Sprintf("%s %d", what, i+1), "run", file)
	}
	return nil
}

func (b *building) seal(seal *resource.Seal) error {
	const last = "free_space" // behind all that gives some back
	for _, part := range resource.SealParts {
		if part != last && !slices.Contains(seal.Keep, part) {
			b.step("seal "+part, "seal_"+part)
		}
	}
	if err := b.run("seal run", seal.Commands); err != nil {
		return err
	}
	if !slices.Contains(seal.Keep, last) {
		b.step("seal "+last, "seal_"+last)
	}
	return nil
}

func (b *building) member(name, content string) error {
	if err := b.out.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Format: tar.FormatPAX}); err != nil {
		return err
	}
	_, err := b.out.Write([]byte(content))
	return err
}

// copy adds an archive with the files, as they go below the root. Folders that are not there come of themselves.
func (b *building) copy(files []resource.File) error {
	if len(files) == 0 {
		return nil
	}
	var inner bytes.Buffer
	out := tar.NewWriter(&inner)
	for i := range files {
		f := &files[i]
		content, ok := f.Content.Clear()
		if !ok {
			return fmt.Errorf("what is in %s is known only by its hash: load the project's files again to have it", f.Path)
		}
		h := &tar.Header{Name: strings.TrimPrefix(path.Clean(f.Path), "/"), Mode: 0o644, Size: int64(len(content)), ModTime: seedTime}
		switch {
		case f.Link != "":
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.Link, 0
		case f.Executable:
			h.Mode = 0o755
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := out.Write([]byte(content)); err != nil {
			return err
		}
	}
	if err := out.Close(); err != nil {
		return err
	}
	b.step("copy", "copy_files")
	return b.member("files.tar", inner.String())
}

// Report is what a guest that builds tells of how far it is.
type Report struct {
	Step   string // at which it is, or failed; empty when it has said nothing yet, or is done
	Done   bool
	Failed bool
	Code   int    // exit code of what failed
	Log    string // the last lines of what the step said
}

// ReadReport reads the first ResultSize bytes of the result disk. What cannot be read, because it is being written, is no
// report.
func ReadReport(disk []byte) Report {
	text, _, _ := bytes.Cut(disk, []byte{0})
	head, log, _ := strings.Cut(string(text), "\n")
	line, ours := strings.CutPrefix(head, "vmplan-build ")
	state, rest, _ := strings.Cut(line, " ")
	r := Report{Log: strings.TrimRight(strings.ToValidUTF8(log, "?"), "\n")}
	switch {
	case !ours:
		return Report{}
	case state == "done":
		r.Done = true
	case state == "running":
		r.Step = rest
	case state == "failed":
		code, step, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(code)
		if err != nil {
			return Report{}
		}
		r.Failed, r.Code, r.Step = true, n, step
	}
	return r
}
