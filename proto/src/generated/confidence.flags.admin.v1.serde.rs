impl serde::Serialize for ClientResolveInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.client.is_empty() {
            len += 1;
        }
        if !self.client_credential.is_empty() {
            len += 1;
        }
        if !self.schema.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.ClientResolveInfo", len)?;
        if !self.client.is_empty() {
            struct_ser.serialize_field("client", &self.client)?;
        }
        if !self.client_credential.is_empty() {
            struct_ser.serialize_field("clientCredential", &self.client_credential)?;
        }
        if !self.schema.is_empty() {
            struct_ser.serialize_field("schema", &self.schema)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ClientResolveInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "client",
            "client_credential",
            "clientCredential",
            "schema",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Client,
            ClientCredential,
            Schema,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "client" => Ok(GeneratedField::Client),
                            "clientCredential" | "client_credential" => Ok(GeneratedField::ClientCredential),
                            "schema" => Ok(GeneratedField::Schema),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ClientResolveInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.ClientResolveInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ClientResolveInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut client__ = None;
                let mut client_credential__ = None;
                let mut schema__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Client => {
                            if client__.is_some() {
                                return Err(serde::de::Error::duplicate_field("client"));
                            }
                            client__ = Some(map_.next_value()?);
                        }
                        GeneratedField::ClientCredential => {
                            if client_credential__.is_some() {
                                return Err(serde::de::Error::duplicate_field("clientCredential"));
                            }
                            client_credential__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Schema => {
                            if schema__.is_some() {
                                return Err(serde::de::Error::duplicate_field("schema"));
                            }
                            schema__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(ClientResolveInfo {
                    client: client__.unwrap_or_default(),
                    client_credential: client_credential__.unwrap_or_default(),
                    schema: schema__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.ClientResolveInfo", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for client_resolve_info::EvaluationContextSchemaInstance {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.schema.is_empty() {
            len += 1;
        }
        if !self.semantic_types.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.ClientResolveInfo.EvaluationContextSchemaInstance", len)?;
        if !self.schema.is_empty() {
            let v: std::collections::HashMap<_, _> = self.schema.iter()
                .map(|(k, v)| {
                    let v = crate::open_enum::OpenEnum::<evaluation_context_schema_field::Kind>::try_from(*v)
                        .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", *v)))?;
                    Ok((k, v))
                }).collect::<std::result::Result<_,_>>()?;
            struct_ser.serialize_field("schema", &v)?;
        }
        if !self.semantic_types.is_empty() {
            struct_ser.serialize_field("semanticTypes", &self.semantic_types)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for client_resolve_info::EvaluationContextSchemaInstance {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "schema",
            "semantic_types",
            "semanticTypes",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Schema,
            SemanticTypes,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "schema" => Ok(GeneratedField::Schema),
                            "semanticTypes" | "semantic_types" => Ok(GeneratedField::SemanticTypes),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = client_resolve_info::EvaluationContextSchemaInstance;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.ClientResolveInfo.EvaluationContextSchemaInstance")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<client_resolve_info::EvaluationContextSchemaInstance, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut schema__ = None;
                let mut semantic_types__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Schema => {
                            if schema__.is_some() {
                                return Err(serde::de::Error::duplicate_field("schema"));
                            }
                            schema__ = Some(
                                map_.next_value::<std::collections::BTreeMap<_, crate::open_enum::OpenEnum<evaluation_context_schema_field::Kind>>>()?
                                    .into_iter().map(|(k,v)| (k, v.number)).collect()
                            );
                        }
                        GeneratedField::SemanticTypes => {
                            if semantic_types__.is_some() {
                                return Err(serde::de::Error::duplicate_field("semanticTypes"));
                            }
                            semantic_types__ = Some(
                                map_.next_value::<std::collections::BTreeMap<_, _>>()?
                            );
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(client_resolve_info::EvaluationContextSchemaInstance {
                    schema: schema__.unwrap_or_default(),
                    semantic_types: semantic_types__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.ClientResolveInfo.EvaluationContextSchemaInstance", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for ContextFieldSemanticType {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.r#type.is_some() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType", len)?;
        if let Some(v) = self.r#type.as_ref() {
            match v {
                context_field_semantic_type::Type::Country(v) => {
                    struct_ser.serialize_field("country", v)?;
                }
                context_field_semantic_type::Type::EnumType(v) => {
                    struct_ser.serialize_field("enumType", v)?;
                }
                context_field_semantic_type::Type::EntityReference(v) => {
                    struct_ser.serialize_field("entityReference", v)?;
                }
                context_field_semantic_type::Type::Version(v) => {
                    struct_ser.serialize_field("version", v)?;
                }
                context_field_semantic_type::Type::Date(v) => {
                    struct_ser.serialize_field("date", v)?;
                }
                context_field_semantic_type::Type::Timestamp(v) => {
                    struct_ser.serialize_field("timestamp", v)?;
                }
            }
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for ContextFieldSemanticType {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "country",
            "enum_type",
            "enumType",
            "entity_reference",
            "entityReference",
            "version",
            "date",
            "timestamp",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Country,
            EnumType,
            EntityReference,
            Version,
            Date,
            Timestamp,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "country" => Ok(GeneratedField::Country),
                            "enumType" | "enum_type" => Ok(GeneratedField::EnumType),
                            "entityReference" | "entity_reference" => Ok(GeneratedField::EntityReference),
                            "version" => Ok(GeneratedField::Version),
                            "date" => Ok(GeneratedField::Date),
                            "timestamp" => Ok(GeneratedField::Timestamp),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = ContextFieldSemanticType;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.ContextFieldSemanticType")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<ContextFieldSemanticType, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut r#type__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Country => {
                            if r#type__.is_some() {
                                return Err(serde::de::Error::duplicate_field("country"));
                            }
                            r#type__ = map_.next_value::<::std::option::Option<_>>()?.map(context_field_semantic_type::Type::Country)
;
                        }
                        GeneratedField::EnumType => {
                            if r#type__.is_some() {
                                return Err(serde::de::Error::duplicate_field("enumType"));
                            }
                            r#type__ = map_.next_value::<::std::option::Option<_>>()?.map(context_field_semantic_type::Type::EnumType)
;
                        }
                        GeneratedField::EntityReference => {
                            if r#type__.is_some() {
                                return Err(serde::de::Error::duplicate_field("entityReference"));
                            }
                            r#type__ = map_.next_value::<::std::option::Option<_>>()?.map(context_field_semantic_type::Type::EntityReference)
;
                        }
                        GeneratedField::Version => {
                            if r#type__.is_some() {
                                return Err(serde::de::Error::duplicate_field("version"));
                            }
                            r#type__ = map_.next_value::<::std::option::Option<_>>()?.map(context_field_semantic_type::Type::Version)
;
                        }
                        GeneratedField::Date => {
                            if r#type__.is_some() {
                                return Err(serde::de::Error::duplicate_field("date"));
                            }
                            r#type__ = map_.next_value::<::std::option::Option<_>>()?.map(context_field_semantic_type::Type::Date)
;
                        }
                        GeneratedField::Timestamp => {
                            if r#type__.is_some() {
                                return Err(serde::de::Error::duplicate_field("timestamp"));
                            }
                            r#type__ = map_.next_value::<::std::option::Option<_>>()?.map(context_field_semantic_type::Type::Timestamp)
;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(ContextFieldSemanticType {
                    r#type: r#type__,
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for context_field_semantic_type::CountrySemanticType {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if self.format != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.CountrySemanticType", len)?;
        if self.format != 0 {
            let v = crate::open_enum::OpenEnum::<context_field_semantic_type::country_semantic_type::CountryFormat>::try_from(self.format)
                .map_err(|_| serde::ser::Error::custom(format!("Invalid variant {}", self.format)))?;
            struct_ser.serialize_field("format", &v)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for context_field_semantic_type::CountrySemanticType {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "format",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Format,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "format" => Ok(GeneratedField::Format),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = context_field_semantic_type::CountrySemanticType;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.ContextFieldSemanticType.CountrySemanticType")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<context_field_semantic_type::CountrySemanticType, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut format__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Format => {
                            if format__.is_some() {
                                return Err(serde::de::Error::duplicate_field("format"));
                            }
                            format__ = Some(map_.next_value::<crate::open_enum::OpenEnum<context_field_semantic_type::country_semantic_type::CountryFormat>>()?.number);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(context_field_semantic_type::CountrySemanticType {
                    format: format__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.CountrySemanticType", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for context_field_semantic_type::country_semantic_type::CountryFormat {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "COUNTRY_FORMAT_UNSPECIFIED",
            Self::TwoLetterIsoCode => "TWO_LETTER_ISO_CODE",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for context_field_semantic_type::country_semantic_type::CountryFormat {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "COUNTRY_FORMAT_UNSPECIFIED",
            "TWO_LETTER_ISO_CODE",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = context_field_semantic_type::country_semantic_type::CountryFormat;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "COUNTRY_FORMAT_UNSPECIFIED" => Ok(context_field_semantic_type::country_semantic_type::CountryFormat::Unspecified),
                    "TWO_LETTER_ISO_CODE" => Ok(context_field_semantic_type::country_semantic_type::CountryFormat::TwoLetterIsoCode),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for context_field_semantic_type::DateSemanticType {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.DateSemanticType", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for context_field_semantic_type::DateSemanticType {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Ok(GeneratedField::__SkipField__)
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = context_field_semantic_type::DateSemanticType;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.ContextFieldSemanticType.DateSemanticType")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<context_field_semantic_type::DateSemanticType, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(context_field_semantic_type::DateSemanticType {
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.DateSemanticType", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for context_field_semantic_type::EntitySemanticType {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.entity.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.EntitySemanticType", len)?;
        if !self.entity.is_empty() {
            struct_ser.serialize_field("entity", &self.entity)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for context_field_semantic_type::EntitySemanticType {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "entity",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Entity,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "entity" => Ok(GeneratedField::Entity),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = context_field_semantic_type::EntitySemanticType;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.ContextFieldSemanticType.EntitySemanticType")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<context_field_semantic_type::EntitySemanticType, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut entity__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Entity => {
                            if entity__.is_some() {
                                return Err(serde::de::Error::duplicate_field("entity"));
                            }
                            entity__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(context_field_semantic_type::EntitySemanticType {
                    entity: entity__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.EntitySemanticType", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for context_field_semantic_type::EnumSemanticType {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.values.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.EnumSemanticType", len)?;
        if !self.values.is_empty() {
            struct_ser.serialize_field("values", &self.values)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for context_field_semantic_type::EnumSemanticType {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "values",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Values,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "values" => Ok(GeneratedField::Values),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = context_field_semantic_type::EnumSemanticType;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.ContextFieldSemanticType.EnumSemanticType")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<context_field_semantic_type::EnumSemanticType, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut values__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Values => {
                            if values__.is_some() {
                                return Err(serde::de::Error::duplicate_field("values"));
                            }
                            values__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(context_field_semantic_type::EnumSemanticType {
                    values: values__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.EnumSemanticType", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for context_field_semantic_type::enum_semantic_type::EnumValue {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.value.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.EnumSemanticType.EnumValue", len)?;
        if !self.value.is_empty() {
            struct_ser.serialize_field("value", &self.value)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for context_field_semantic_type::enum_semantic_type::EnumValue {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "value",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Value,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "value" => Ok(GeneratedField::Value),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = context_field_semantic_type::enum_semantic_type::EnumValue;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.ContextFieldSemanticType.EnumSemanticType.EnumValue")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<context_field_semantic_type::enum_semantic_type::EnumValue, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut value__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Value => {
                            if value__.is_some() {
                                return Err(serde::de::Error::duplicate_field("value"));
                            }
                            value__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(context_field_semantic_type::enum_semantic_type::EnumValue {
                    value: value__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.EnumSemanticType.EnumValue", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for context_field_semantic_type::TimestampSemanticType {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.TimestampSemanticType", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for context_field_semantic_type::TimestampSemanticType {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Ok(GeneratedField::__SkipField__)
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = context_field_semantic_type::TimestampSemanticType;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.ContextFieldSemanticType.TimestampSemanticType")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<context_field_semantic_type::TimestampSemanticType, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(context_field_semantic_type::TimestampSemanticType {
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.TimestampSemanticType", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for context_field_semantic_type::VersionSemanticType {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.VersionSemanticType", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for context_field_semantic_type::VersionSemanticType {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Ok(GeneratedField::__SkipField__)
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = context_field_semantic_type::VersionSemanticType;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.ContextFieldSemanticType.VersionSemanticType")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<context_field_semantic_type::VersionSemanticType, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(context_field_semantic_type::VersionSemanticType {
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.ContextFieldSemanticType.VersionSemanticType", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for EvaluationContextSchemaField {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let len = 0;
        let struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.EvaluationContextSchemaField", len)?;
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for EvaluationContextSchemaField {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                            Ok(GeneratedField::__SkipField__)
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = EvaluationContextSchemaField;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.EvaluationContextSchemaField")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<EvaluationContextSchemaField, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                while map_.next_key::<GeneratedField>()?.is_some() {
                    let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(EvaluationContextSchemaField {
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.EvaluationContextSchemaField", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for evaluation_context_schema_field::Kind {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        let variant = match self {
            Self::Unspecified => "KIND_UNSPECIFIED",
            Self::NullKind => "NULL_KIND",
            Self::NumberKind => "NUMBER_KIND",
            Self::StringKind => "STRING_KIND",
            Self::BoolKind => "BOOL_KIND",
        };
        serializer.serialize_str(variant)
    }
}
impl<'de> serde::Deserialize<'de> for evaluation_context_schema_field::Kind {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "KIND_UNSPECIFIED",
            "NULL_KIND",
            "NUMBER_KIND",
            "STRING_KIND",
            "BOOL_KIND",
        ];

        struct GeneratedVisitor;

        impl serde::de::Visitor<'_> for GeneratedVisitor {
            type Value = evaluation_context_schema_field::Kind;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(formatter, "expected one of: {:?}", &FIELDS)
            }

            fn visit_i64<E>(self, v: i64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Signed(v), &self)
                    })
            }

            fn visit_u64<E>(self, v: u64) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                i32::try_from(v)
                    .ok()
                    .and_then(|x| x.try_into().ok())
                    .ok_or_else(|| {
                        serde::de::Error::invalid_value(serde::de::Unexpected::Unsigned(v), &self)
                    })
            }

            fn visit_str<E>(self, value: &str) -> std::result::Result<Self::Value, E>
            where
                E: serde::de::Error,
            {
                match value {
                    "KIND_UNSPECIFIED" => Ok(evaluation_context_schema_field::Kind::Unspecified),
                    "NULL_KIND" => Ok(evaluation_context_schema_field::Kind::NullKind),
                    "NUMBER_KIND" => Ok(evaluation_context_schema_field::Kind::NumberKind),
                    "STRING_KIND" => Ok(evaluation_context_schema_field::Kind::StringKind),
                    "BOOL_KIND" => Ok(evaluation_context_schema_field::Kind::BoolKind),
                    _ => Err(serde::de::Error::unknown_variant(value, FIELDS)),
                }
            }
        }
        deserializer.deserialize_any(GeneratedVisitor)
    }
}
impl serde::Serialize for FlagResolveInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.flag.is_empty() {
            len += 1;
        }
        if !self.variant_resolve_info.is_empty() {
            len += 1;
        }
        if !self.rule_resolve_info.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.FlagResolveInfo", len)?;
        if !self.flag.is_empty() {
            struct_ser.serialize_field("flag", &self.flag)?;
        }
        if !self.variant_resolve_info.is_empty() {
            struct_ser.serialize_field("variantResolveInfo", &self.variant_resolve_info)?;
        }
        if !self.rule_resolve_info.is_empty() {
            struct_ser.serialize_field("ruleResolveInfo", &self.rule_resolve_info)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for FlagResolveInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "flag",
            "variant_resolve_info",
            "variantResolveInfo",
            "rule_resolve_info",
            "ruleResolveInfo",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Flag,
            VariantResolveInfo,
            RuleResolveInfo,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "flag" => Ok(GeneratedField::Flag),
                            "variantResolveInfo" | "variant_resolve_info" => Ok(GeneratedField::VariantResolveInfo),
                            "ruleResolveInfo" | "rule_resolve_info" => Ok(GeneratedField::RuleResolveInfo),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = FlagResolveInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.FlagResolveInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<FlagResolveInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut flag__ = None;
                let mut variant_resolve_info__ = None;
                let mut rule_resolve_info__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Flag => {
                            if flag__.is_some() {
                                return Err(serde::de::Error::duplicate_field("flag"));
                            }
                            flag__ = Some(map_.next_value()?);
                        }
                        GeneratedField::VariantResolveInfo => {
                            if variant_resolve_info__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variantResolveInfo"));
                            }
                            variant_resolve_info__ = Some(map_.next_value()?);
                        }
                        GeneratedField::RuleResolveInfo => {
                            if rule_resolve_info__.is_some() {
                                return Err(serde::de::Error::duplicate_field("ruleResolveInfo"));
                            }
                            rule_resolve_info__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(FlagResolveInfo {
                    flag: flag__.unwrap_or_default(),
                    variant_resolve_info: variant_resolve_info__.unwrap_or_default(),
                    rule_resolve_info: rule_resolve_info__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.FlagResolveInfo", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for flag_resolve_info::AssignmentResolveInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.assignment_id.is_empty() {
            len += 1;
        }
        if self.count != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.FlagResolveInfo.AssignmentResolveInfo", len)?;
        if !self.assignment_id.is_empty() {
            struct_ser.serialize_field("assignmentId", &self.assignment_id)?;
        }
        if self.count != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("count", ToString::to_string(&self.count).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for flag_resolve_info::AssignmentResolveInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "assignment_id",
            "assignmentId",
            "count",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            AssignmentId,
            Count,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "assignmentId" | "assignment_id" => Ok(GeneratedField::AssignmentId),
                            "count" => Ok(GeneratedField::Count),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = flag_resolve_info::AssignmentResolveInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.FlagResolveInfo.AssignmentResolveInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<flag_resolve_info::AssignmentResolveInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut assignment_id__ = None;
                let mut count__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::AssignmentId => {
                            if assignment_id__.is_some() {
                                return Err(serde::de::Error::duplicate_field("assignmentId"));
                            }
                            assignment_id__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Count => {
                            if count__.is_some() {
                                return Err(serde::de::Error::duplicate_field("count"));
                            }
                            count__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(flag_resolve_info::AssignmentResolveInfo {
                    assignment_id: assignment_id__.unwrap_or_default(),
                    count: count__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.FlagResolveInfo.AssignmentResolveInfo", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for flag_resolve_info::RuleResolveInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.rule.is_empty() {
            len += 1;
        }
        if self.count != 0 {
            len += 1;
        }
        if !self.assignment_resolve_info.is_empty() {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.FlagResolveInfo.RuleResolveInfo", len)?;
        if !self.rule.is_empty() {
            struct_ser.serialize_field("rule", &self.rule)?;
        }
        if self.count != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("count", ToString::to_string(&self.count).as_str())?;
        }
        if !self.assignment_resolve_info.is_empty() {
            struct_ser.serialize_field("assignmentResolveInfo", &self.assignment_resolve_info)?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for flag_resolve_info::RuleResolveInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "rule",
            "count",
            "assignment_resolve_info",
            "assignmentResolveInfo",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Rule,
            Count,
            AssignmentResolveInfo,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "rule" => Ok(GeneratedField::Rule),
                            "count" => Ok(GeneratedField::Count),
                            "assignmentResolveInfo" | "assignment_resolve_info" => Ok(GeneratedField::AssignmentResolveInfo),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = flag_resolve_info::RuleResolveInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.FlagResolveInfo.RuleResolveInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<flag_resolve_info::RuleResolveInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut rule__ = None;
                let mut count__ = None;
                let mut assignment_resolve_info__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Rule => {
                            if rule__.is_some() {
                                return Err(serde::de::Error::duplicate_field("rule"));
                            }
                            rule__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Count => {
                            if count__.is_some() {
                                return Err(serde::de::Error::duplicate_field("count"));
                            }
                            count__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::AssignmentResolveInfo => {
                            if assignment_resolve_info__.is_some() {
                                return Err(serde::de::Error::duplicate_field("assignmentResolveInfo"));
                            }
                            assignment_resolve_info__ = Some(map_.next_value()?);
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(flag_resolve_info::RuleResolveInfo {
                    rule: rule__.unwrap_or_default(),
                    count: count__.unwrap_or_default(),
                    assignment_resolve_info: assignment_resolve_info__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.FlagResolveInfo.RuleResolveInfo", FIELDS, GeneratedVisitor)
    }
}
impl serde::Serialize for flag_resolve_info::VariantResolveInfo {
    #[allow(deprecated)]
    fn serialize<S>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error>
    where
        S: serde::Serializer,
    {
        use serde::ser::SerializeStruct;
        let mut len = 0;
        if !self.variant.is_empty() {
            len += 1;
        }
        if self.count != 0 {
            len += 1;
        }
        let mut struct_ser = serializer.serialize_struct("confidence.flags.admin.v1.FlagResolveInfo.VariantResolveInfo", len)?;
        if !self.variant.is_empty() {
            struct_ser.serialize_field("variant", &self.variant)?;
        }
        if self.count != 0 {
            #[allow(clippy::needless_borrow)]
            #[allow(clippy::needless_borrows_for_generic_args)]
            struct_ser.serialize_field("count", ToString::to_string(&self.count).as_str())?;
        }
        struct_ser.end()
    }
}
impl<'de> serde::Deserialize<'de> for flag_resolve_info::VariantResolveInfo {
    #[allow(deprecated)]
    fn deserialize<D>(deserializer: D) -> std::result::Result<Self, D::Error>
    where
        D: serde::Deserializer<'de>,
    {
        const FIELDS: &[&str] = &[
            "variant",
            "count",
        ];

        #[allow(clippy::enum_variant_names)]
        enum GeneratedField {
            Variant,
            Count,
            __SkipField__,
        }
        impl<'de> serde::Deserialize<'de> for GeneratedField {
            fn deserialize<D>(deserializer: D) -> std::result::Result<GeneratedField, D::Error>
            where
                D: serde::Deserializer<'de>,
            {
                struct GeneratedVisitor;

                impl serde::de::Visitor<'_> for GeneratedVisitor {
                    type Value = GeneratedField;

                    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(formatter, "expected one of: {:?}", &FIELDS)
                    }

                    #[allow(unused_variables)]
                    fn visit_str<E>(self, value: &str) -> std::result::Result<GeneratedField, E>
                    where
                        E: serde::de::Error,
                    {
                        match value {
                            "variant" => Ok(GeneratedField::Variant),
                            "count" => Ok(GeneratedField::Count),
                            _ => Ok(GeneratedField::__SkipField__),
                        }
                    }
                }
                deserializer.deserialize_identifier(GeneratedVisitor)
            }
        }
        struct GeneratedVisitor;
        impl<'de> serde::de::Visitor<'de> for GeneratedVisitor {
            type Value = flag_resolve_info::VariantResolveInfo;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("struct confidence.flags.admin.v1.FlagResolveInfo.VariantResolveInfo")
            }

            fn visit_map<V>(self, mut map_: V) -> std::result::Result<flag_resolve_info::VariantResolveInfo, V::Error>
                where
                    V: serde::de::MapAccess<'de>,
            {
                let mut variant__ = None;
                let mut count__ = None;
                while let Some(k) = map_.next_key()? {
                    match k {
                        GeneratedField::Variant => {
                            if variant__.is_some() {
                                return Err(serde::de::Error::duplicate_field("variant"));
                            }
                            variant__ = Some(map_.next_value()?);
                        }
                        GeneratedField::Count => {
                            if count__.is_some() {
                                return Err(serde::de::Error::duplicate_field("count"));
                            }
                            count__ = 
                                Some(map_.next_value::<::pbjson::private::NumberDeserialize<_>>()?.0)
                            ;
                        }
                        GeneratedField::__SkipField__ => {
                            let _ = map_.next_value::<serde::de::IgnoredAny>()?;
                        }
                    }
                }
                Ok(flag_resolve_info::VariantResolveInfo {
                    variant: variant__.unwrap_or_default(),
                    count: count__.unwrap_or_default(),
                })
            }
        }
        deserializer.deserialize_struct("confidence.flags.admin.v1.FlagResolveInfo.VariantResolveInfo", FIELDS, GeneratedVisitor)
    }
}
