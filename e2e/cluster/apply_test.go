package cluster

import "testing"

func TestDecodeReadsEveryDocument(t *testing.T) {
	got, err := decode("---\nkind: A\napiVersion: v1\nmetadata: {name: a, namespace: ns}\n---\n---\n# nothing\n---\n{\"kind\": \"B\", \"apiVersion\": \"x/v1\", \"metadata\": {\"name\": \"b\"}}\n")
	if err != nil || len(got) != 2 || got[0].GetName() != "a" || got[0].GetNamespace() != "ns" || got[1].GroupVersionKind().Group != "x" {
		t.Errorf("%d objects, %v: %+v", len(got), err, got)
	}
	for _, bad := range []string{"kind: A\n", "kind: A\nmetadata: {}\n", "kind: [\n", "a: b\n---\nkind: C\nmetadata: {name: c}\n"} {
		if got, err := decode(bad); err == nil {
			t.Errorf("%q became %v", bad, got)
		}
	}
}
