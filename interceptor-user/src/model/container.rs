/// A container, as the path of its cgroup tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The runtime's id of it; 64 hexadecimal digits with most runtimes.
    pub id: Box<str>,
    /// The runtime's namespace that the id is of (containerd's `k8s.io`, `default`, `moby`; not Kubernetes').
    pub namespace: Option<&'static str>,
    /// The pod that it is in, where Kubernetes runs it.
    pub pod: Option<Pod>,
}

/// A pod of Kubernetes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.uid`; of a static pod, the hash of its manifest, which its mirror has in an annotation.
    pub uid: Box<str>,
    /// Quality of service class, where the path goes as far up as to tell.
    pub qos: Option<Qos>,
}

/// How a pod's requests relate to its limits (`status.qosClass`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qos {
    /// Limits on everything, and requests that equal them.
    Guaranteed,
    /// Some requests or limits.
    Burstable,
    /// None.
    BestEffort,
}

impl Qos {
    /// As Kubernetes' API writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Guaranteed => "Guaranteed",
            Self::Burstable => "Burstable",
            Self::BestEffort => "BestEffort",
        }
    }
}
