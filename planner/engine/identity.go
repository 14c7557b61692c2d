package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/google/uuid"

	"vmplan.dev/vmplan/config/atomicfile"
)

// projectIdentity is .vmplan/identity.json: the lineage of the project in this folder.
type projectIdentity struct {
	Lineage uuid.UUID `json:"lineage"`
}

// identity gives the lineage for a state that was never written. It is kept in the project's .vmplan folder, so that two
// plans before the first apply are the same, and a state that is lost can be found again on the hosts; where that folder
// cannot be written it lasts for this run.
//
// One that is there and cannot be read is an error: it may be all that leads to a lost state.
func identity(dir string, log *slog.Logger) (lineage string, err error) {
	kept, err := keptIdentity(dir)
	if err == nil {
		return kept, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: %w: fix it, or delete it if this project was never applied", identityPath(dir), err)
	}
	id := projectIdentity{Lineage: uuid.New()}
	if err := writeIdentity(dir, id); err != nil {
		log.Debug("identity is not kept", "folder", dir, "error", err)
	}
	return id.Lineage.String(), nil
}

func identityPath(dir string) string { return filepath.Join(dir, ".vmplan", "identity.json") }

// keptIdentity is the lineage that the project's .vmplan folder keeps; fs.ErrNotExist when it keeps none.
func keptIdentity(dir string) (string, error) {
	data, err := os.ReadFile(identityPath(dir))
	if err != nil {
		return "", err
	}
	var id projectIdentity
	if err := json.Unmarshal(data, &id); err != nil {
		return "", err
	}
	if id.Lineage == uuid.Nil {
		return "", errors.New("it names no lineage")
	}
	return id.Lineage.String(), nil
}

func writeIdentity(dir string, id projectIdentity) error {
	data, err := json.Marshal(id)
	if err != nil {
		return err
	}
	path := identityPath(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, data, 0o600)
}
