package controltest_test

// shop is a small mesh: web calls api, which has a stable and a canary version;
// db is opaque; raw is to be detected; ext is outside.
const shop = `
apiVersion: v1
kind: Service
metadata: {name: api, namespace: default}
spec:
  clusterIP: 10.96.0.1
  selector: {app: api}
  ports: [{name: http, port: 80, targetPort: 9001}]
---
apiVersion: v1
kind: Service
metadata: {name: api-stable, namespace: default}
spec:
  clusterIP: 10.96.0.2
  ports: [{name: http, port: 80, targetPort: 9001}]
---
apiVersion: v1
kind: Service
metadata: {name: api-canary, namespace: default}
spec:
  clusterIP: 10.96.0.3
  ports: [{name: http, port: 80, targetPort: 9001}]
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: default}
spec:
  clusterIP: 10.96.0.4
  ports: [{name: tcp-db, port: 5432}]
---
apiVersion: v1
kind: Service
metadata: {name: raw, namespace: default}
spec:
  clusterIP: 10.96.0.5
  ports: [{port: 7000}]
---
apiVersion: v1
kind: Service
metadata: {name: ext, namespace: default}
spec:
  type: ExternalName
  externalName: example.com
  ports: [{name: http, port: 80}]
---
apiVersion: v1
kind: Service
metadata: {name: pods, namespace: default}
spec:
  clusterIP: None
  selector: {app: api}
  ports: [{name: http, port: 9001}]
`

const pods = `
apiVersion: v1
kind: Pod
metadata: {name: stable-0, namespace: default, labels: {app: api}, annotations: {weft.mesh/meshed: "true"}}
spec:
  serviceAccountName: stable
  containers: [{name: c, ports: [{name: http, containerPort: 9001}]}]
status: {phase: Running, podIP: 10.244.0.7}
---
apiVersion: v1
kind: Pod
metadata: {name: canary-0, namespace: default, labels: {app: api}}
spec:
  serviceAccountName: canary
  containers: [{name: c, ports: [{name: http, containerPort: 9001}]}]
status: {phase: Running, podIP: 10.244.0.8}
`

// slice is an EndpointSlice of one service port and its pods.
func slice(service, portName string, port string, endpoints ...string) string {
	s := `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: ` + service + `-1, namespace: default, labels: {kubernetes.io/service-name: ` + service + `}}
addressType: IPv4
ports: [{name: "` + portName + `", port: ` + port + `, protocol: TCP}]
endpoints:`
	if len(endpoints) == 0 {
		return s + " []\n"
	}
	for _, e := range endpoints {
		s += "\n- " + e
	}
	return s + "\n"
}

const (
	stable0 = `{addresses: [10.244.0.7], zone: a, conditions: {ready: true}, targetRef: {kind: Pod, name: stable-0, namespace: default}}`
	canary0 = `{addresses: [10.244.0.8], zone: b, conditions: {ready: true}, targetRef: {kind: Pod, name: canary-0, namespace: default}}`
)

// split is a TrafficSplit of api between its versions.
func split(stable, canary string) string {
	return `
apiVersion: split.smi-spec.io/v1alpha2
kind: TrafficSplit
metadata: {name: api, namespace: default}
spec:
  service: api
  backends:
  - {service: api-stable, weight: ` + stable + `}
  - {service: api-canary, weight: ` + canary + `}
`
}

func files() map[string]string {
	return map[string]string{
		"shop.yaml": shop, "pods.yaml": pods,
		"stable.yaml": slice("api-stable", "http", "9001", stable0),
		"canary.yaml": slice("api-canary", "http", "9001", canary0),
		"api.yaml":    slice("api", "http", "9001", stable0, canary0),
		"podsvc.yaml": slice("pods", "http", "9001", stable0, canary0),
	}
}

const (
	apiName    = "api.default.svc.cluster.local:80"
	apiCluster = "outbound|80||api.default.svc.cluster.local"
)
