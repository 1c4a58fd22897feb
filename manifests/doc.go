// Package manifests holds what an installation consists of: a Helm chart for
// the control plane, and the definitions of the custom resources that the mesh
// reads. Both are embedded; Helm's own engine renders the chart, so that
// `weft install`, `helm install ./manifests/chart` and a pull by a GitOps tool
// come to the same objects.
package manifests
