package local

import (
	"fmt"
	"time"

	"github.com/weftmesh/weft/control/ca/localtoken"
)

// tokenLife is how long a workload's token is good for; it is renewed well
// before.
const tokenLife = 48 * time.Hour

// token writes the workload's proof of who it is and returns its file.
func (m *mesh) token(w *workload) (string, error) {
	key, err := localtoken.LoadOrCreateKey(m.folder.tokenKey())
	if err != nil {
		return "", err
	}
	t, err := localtoken.Mint(key, localtoken.Claims{Namespace: w.namespace, ServiceAccount: w.service, Pod: w.pod}, time.Now(), tokenLife)
	if err != nil {
		return "", err
	}
	file := m.folder.state("token", w.pod)
	if err := writeWhole(file, []byte(t), 0o600); err != nil {
		return "", fmt.Errorf("write the token of %s: %w", w.pod, err)
	}
	return file, nil
}
