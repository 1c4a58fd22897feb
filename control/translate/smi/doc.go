// Package smi translates TrafficSplits of the Service Mesh Interface.
package smi
